#include "block_product.h"

#include <algorithm>

namespace keras_ssc {

Product block_product(const Plan& plan, const Block& block, const Epilogue& epilogue) {
  const Access& access = plan.accesses[block.access];
  Product a = {};
  a.w = plan.packed.data() + block.packed;
  a.start = block.start < 0 ? nullptr : plan.packed.data() + block.start;
  a.index = access.index.data();
  a.y_offsets = block.out;
  a.live = block.live;
  a.add = block.add;
  a.relu = epilogue.relu;
  a.ceiling = epilogue.ceiling;
  if (block.folded && access.load != kRow)
    a.fold = access.load == kPermuted ? -1 : access.span;
  a.partial = a.fold != 0;
  for (int f = 0; f < block.vectors; ++f) a.partial |= block.live[f] < plan.micro->lanes;
  return a;
}

void multiply(const Plan& plan, const Block& block, Product a, int pixels) {
  const Load load = block.folded ? kRow : plan.accesses[block.access].load;
  const int most = std::min(kMaxRows, plan.micro->registers / block.vectors);
  for (int parts = (pixels + most - 1) / most; parts; --parts) {
    const int size = (pixels + parts - 1) / parts;
    plan.micro->product[load][size][block.vectors](a);
    a.x += size * a.x_pixel;
    a.y += size * a.y_pixel;
    if (a.residual) a.residual += size * a.y_pixel;
    pixels -= size;
  }
}

}  // namespace keras_ssc
