#include "block_product.h"

#include <algorithm>

namespace keras_ssc {

Product block_product(const Plan& plan, const Block& block, const Epilogue& epilogue) {
  const Access& access = plan.accesses[block.access];
  Product a = {};
  a.w = block.in_place ? block.in_place : plan.packed.data() + block.packed;
  a.w_row = block.row;
  a.start = block.start < 0 ? nullptr : plan.packed.data() + block.start;
  a.scale = block.scale < 0 ? nullptr : plan.packed.data() + block.scale;
  a.index = access.index.data();
  a.y_offsets = block.out;
  a.live = block.live;
  a.add = block.add;
  a.relu = epilogue.relu;
  a.ceiling = epilogue.ceiling;
  if (block.folded && access.load != kRow) a.fold = access.load == kPermuted ? -1 : access.span;
  a.partial = a.fold != 0;
  for (int f = 0; f < block.vectors; ++f) a.partial |= block.live[f] < plan.micro->lanes;
  return a;
}

int products_along(const Plan& plan, const Block& block, int pixels) {
  const int most = std::min(kMaxRows, plan.micro->registers / block.vectors);
  return (pixels + most - 1) / most;
}

void multiply(const Plan& plan, const Block& block, Product a, int pixels) {
  const Load load = block.folded ? kRow : plan.accesses[block.access].load;
  const int most = std::min(kMaxRows, plan.micro->registers / block.vectors);
  for (int size; pixels; pixels -= size) {
    size = next_rows(pixels, most);
    plan.micro->product[load][size][block.vectors](a);
    a.x += size * a.x_pixel;
    a.y += size * a.y_pixel;
    if (a.residual) a.residual += size * a.y_pixel;
    a.next_source += a.steps * a.source_lines * 16L;
    a.next_destination += a.steps * a.destination_lines * 16L;
  }
}

}  // namespace keras_ssc
