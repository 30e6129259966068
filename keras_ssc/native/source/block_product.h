// A block of a plan, multiplied along a line of pixels.
#pragma once

#include "plan.h"

namespace keras_ssc {

// All of a product but where it reads and writes, and which steps.
Product block_product(const Plan&, const Block&, const Epilogue&);

// How many products so many pixels of a block come to.
int products_along(const Plan&, const Block&, int pixels);

// The product for so many pixels, from `a.x` and `a.y` on.
void multiply(const Plan&, const Block&, Product a, int pixels);

}  // namespace keras_ssc
