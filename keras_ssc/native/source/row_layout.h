// How the filters of a problem lie in vectors for the row kernels, and rows copied for them.
#pragma once

#include <algorithm>

#include "normalize.h"
#include "row_convolution.h"
#include "tile.h"

namespace keras_ssc {

// Vectors of V floats begin at filter s * V + i * step, for s < shifts: those of one s are
// shifted alike.
struct RowLayout {
  const RowKernels* kernels;  // null: rows don't serve
  const RowSums* sums;
  int V, q, shifts, step, half;
  int again;  // the first channels that follow the last ones once more
};

RowLayout row_layout(const Problem&);

// How many vectors of one shift a kernel takes: 2 where they come in pairs.
inline int row_block(int vectors) { return vectors % 2 ? 1 : 2; }

// Channels (r + s * V) mod M of the kernels, for every s.
std::vector<int> row_channels(const RowLayout&, const std::vector<int>& relative, int in_channels);

// Calls run(size, first, strips) for the pixels of a row in strips as equal as can be.
template <typename Function>
void for_strips(int pixels, int most, const Function& run) {
  const int parts = (pixels + most - 1) / most, size = pixels / parts, longer = pixels % parts;
  if (longer) run(size + 1, 0, longer);
  run(size, longer * (size + 1), parts - longer);
}

// The newest rows of one image in a buffer small enough for the first cache, each pixel copied
// once, with zero pixels on both sides.
class RowRing {
 public:
  // `prologue`: of what is copied; the zero pixels stay zero. `distances`: of pairs that are copied
  // (pairs.h), all of them with `again`; none: floats.
  RowRing(const RowLayout& layout, const Prologue& prologue, int rows, int pixels, int left,
          int right, int channels, int again, const std::vector<int>& distances = {})
      : prologue_(prologue),
        copy_(layout.kernels->copy),
        distances_(distances),
        rows_(rows),
        pixels_(pixels),
        left_(left),
        channels_(channels),
        again_(again),
        pixel_(std::max(1, (int)distances.size()) * (channels + (again ? again : layout.V))),
        row_((long)(left + pixels + right) * pixel_),
        buffer_(rows * row_),
        normalized_(prologue.scale ? (std::size_t)pixels * channels : 0) {
    std::fill(buffer_.data(), buffer_.data() + rows * row_, 0.f);
  }
  // Begins at row `next` of an image.
  void start(const float* image, int next) {
    image_ = image;
    next_ = next;
  }
  // Copies the rows up to `last`.
  void advance(int last) {
    for (; next_ <= last; ++next_) {
      const float* from = image_ + (long)next_ * pixels_ * channels_;
      if (prologue_.scale) {
        normalize_loops().apply(from, prologue_.scale, prologue_.shift, nullptr, true, pixels_,
                                channels_, normalized_.data());
        from = normalized_.data();
      }
      float* to = slot(next_) + left_ * pixel_;
      if (distances_.empty())
        copy_(from, to, pixels_, channels_, pixel_, again_);
      else
        paired_microkernels_for(16)->pair_channels(
            {from, to, pixels_, channels_, again_, distances_.data(), (int)distances_.size()});
    }
  }
  const float* row(int r) const { return slot(r); }
  int pixel() const { return pixel_; }

 private:
  float* slot(int r) const { return buffer_.data() + r % rows_ * row_; }

  const Prologue prologue_;
  void (*copy_)(const float*, float*, int, int, int, int);
  const std::vector<int> distances_;
  const int rows_, pixels_, left_, channels_, again_, pixel_;
  const long row_;
  Buffer buffer_, normalized_;
  const float* image_ = nullptr;
  int next_ = 0;
};

// The rows of all images in parts for threads: whole images, or parts of them where those are few.
struct RowParts {
  int batch, rows, parts;  // parts of an image

  // `least`: parts of an image, at least.
  RowParts(int batch, int rows, int slices, int least = 1)
      : batch(batch), rows(rows), parts(least) {
    if (batch < slices) parts = std::max(least, std::min(rows, (slices + batch - 1) / batch));
  }
  long count() const { return (long)batch * parts; }
  // Calls run(image, from, to) for a slice's share.
  template <typename Function>
  void share(int slice, int slices, const Function& run) const {
    for (long unit = count() * slice / slices; unit < count() * (slice + 1) / slices; ++unit) {
      const int part = (int)(unit % parts);
      run((int)(unit / parts), rows * part / parts, rows * (part + 1) / parts);
    }
  }
};

// Lines to fetch: `rows` rows from row `row` of an array of rows.
struct RowSpan {
  const float *from, *to;
  RowSpan(const float* array, long row, long count, long rows, long floats)
      : from(array + std::min(row, rows) * floats),
        to(array + std::min(row + count, rows) * floats) {}
};

}  // namespace keras_ssc
