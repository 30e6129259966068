#include "weight_sums.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "plan.h"

namespace keras_ssc {

Layout::Layout(const Problem& problem)
    : pattern(problem.pattern), floats(0), again(0), wraps(false), beyond(false) {
  const Pattern& p = pattern;
  micro = cheapest(problem.lanes, [&](int lanes) { return (int)vectors_of(p, lanes).size(); });
  vectors = vectors_of(p, micro->lanes);
  std::map<std::tuple<int, int, Access>, std::vector<int>> found;
  int filters = 0;
  for (int m = 0, i = 0; m < (int)p.filters.size(); ++m) {
    pitches.push_back(0);
    for (; i < (int)vectors.size() && vectors[i].matrix == m; ++i) {
      const Vector& v = vectors[i];
      places.push_back(filters + v.column);
      columns.push_back(pitches[m]);
      pitches[m] += micro->lanes;
      beyond |= places[i] + micro->lanes > p.out_channels;
      found[{m, v.shift, v.access}].push_back(i);
    }
    starts.push_back(floats);
    floats += pitches[m] * (int)(p.taps[m].size() * p.kxk.size() + p.pointwise.size());
    filters += (int)p.filters[m].size();
    order.insert(order.end(), p.filters[m].begin(), p.filters[m].end());
  }
  for (const auto& [key, group] : found) groups.push_back(group);
  for (const Vector& v : vectors)
    for (const auto* list : {&p.kxk, &p.pointwise})
      for (int r : *list) {
        const int beyond_last = (r + v.shift) % p.in_channels - p.in_channels;
        again = std::max(again, beyond_last + v.access.span);
        wraps |= beyond_last + v.access.last >= 0;
      }
  if (as_they_are(order, p.out_channels)) order.clear();
}

WeightSums::WeightSums(const Layout& layout, int slices)
    : layout_(layout),
      slices_(slices),
      pitch_((layout.floats + 15) / 16 * 16),
      sums_(pitch_ * slices) {}

float* WeightSums::of(int slice) const {
  float* own = sums_.data() + slice * pitch_;
  std::fill(own, own + pitch_, 0.f);
  return own;
}

void WeightSums::add_up(const std::vector<float*>& gradients) const {
  const Pattern& p = layout_.pattern;
  for (int i = 0; i < (int)layout_.vectors.size(); ++i) {
    const Vector& v = layout_.vectors[i];
    const int rows = (int)(p.taps[v.matrix].size() * p.kxk.size() + p.pointwise.size());
    const float* from = sums_.data() + layout_.starts[v.matrix] + layout_.columns[i];
    float* to = gradients[v.matrix] + v.column;
    for (int row = 0; row < rows; ++row) {
      for (int l = 0; l < v.live; ++l) {
        float sum = 0;
        for (int slice = 0; slice < slices_; ++slice) sum += from[slice * pitch_ + l];
        to[l] = sum;
      }
      from += layout_.pitches[v.matrix];
      to += p.filters[v.matrix].size();
    }
  }
}

}  // namespace keras_ssc
