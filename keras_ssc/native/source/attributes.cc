#include "attributes.h"

#include <algorithm>
#include <climits>

namespace keras_ssc {
namespace {

constexpr const char* kMisfit = "attributes that don't fit each other";

}  // namespace

Axis make_axis(int in, int kernel, int stride, int dilation, bool same, int before, int after) {
  const int all = before + in + after;
  Axis axis = {in, output_size(all, kernel, stride, dilation, same), stride, dilation, before};
  const int needed = (axis.out - 1) * stride + (kernel - 1) * dilation + 1;
  if (same) axis.pad += std::max(needed - all, 0) / 2;
  return axis;
}

int output_size(int in, int kernel, int stride, int dilation, bool same) {
  return same ? (in + stride - 1) / stride : (in - (kernel - 1) * dilation - 1) / stride + 1;
}

const char* Geometry::set(const Attributes& a, bool same, int widest, const Zeros& zeros) {
  if (a.kernel_size.size() != 2 || a.strides.size() != 2 || a.dilations.size() != 2 ||
      a.tap_counts.size() != a.filter_counts.size())
    return kMisfit;
  for (const auto& sizes : {a.kernel_size, a.strides, a.dilations})
    if (std::min(sizes[0], sizes[1]) < 1) return kMisfit;
  if (std::min({zeros.above, zeros.below, zeros.left, zeros.right}) < 0) return kMisfit;
  same_ = same;
  zeros_ = zeros;
  widest_ = widest;
  strides_ = {a.strides[0], a.strides[1]};
  dilations_ = {a.dilations[0], a.dilations[1]};
  pattern_.kxk = a.kxk;
  pattern_.pointwise = a.pointwise;
  pattern_.shifts = a.shifts;
  pattern_.out_channels = (int)a.shifts.size();
  pattern_.kernel = {a.kernel_size[0], a.kernel_size[1]};
  pattern_.centre = {(a.kernel_size[0] - 1) / 2, (a.kernel_size[1] - 1) / 2};
  std::size_t tap = 0, filter = 0;
  for (std::size_t m = 0; m < a.tap_counts.size(); ++m) {
    if (tap + 2 * a.tap_counts[m] > a.taps.size() || filter + a.filter_counts[m] > a.filters.size())
      return kMisfit;
    pattern_.taps.emplace_back();
    for (int i = 0; i < a.tap_counts[m]; ++i, tap += 2)
      pattern_.taps.back().push_back({a.taps[tap], a.taps[tap + 1]});
    pattern_.filters.emplace_back(a.filters.begin() + filter,
                                  a.filters.begin() + filter + a.filter_counts[m]);
    filter += a.filter_counts[m];
  }
  return nullptr;
}

const char* Geometry::problem(const std::array<long, 4>& x, Problem* problem) const {
  if (std::max({x[0], x[1], x[2], x[3]}) > INT_MAX) return "x is too large";
  problem->pattern = pattern_;
  problem->pattern.in_channels = (int)x[3];
  problem->batch = (int)x[0];
  problem->rows = make_axis((int)x[1], pattern_.kernel[0], strides_[0], dilations_[0], same_,
                            zeros_.above, zeros_.below);
  problem->columns = make_axis((int)x[2], pattern_.kernel[1], strides_[1], dilations_[1], same_,
                               zeros_.left, zeros_.right);
  problem->lanes = usable_lanes(problem->pattern, widest_ ? widest_ : 16);
  problem->micro = microkernels_for(problem->lanes);
  const bool fits = problem->rows.out >= 1 && problem->columns.out >= 1;
  return fits ? nullptr : "x is smaller than the kernel";
}

std::array<long, 2> Geometry::matrix_shape(int m) const {
  const long positions = (long)(pattern_.taps[m].size() * pattern_.kxk.size());
  return {positions + (long)pattern_.pointwise.size(), (long)pattern_.filters[m].size()};
}

}  // namespace keras_ssc
