// Runs the native passes over many settings, in arrays of exactly the right length, and compares
// them with sums written out one by one. Built with sanitizers, it finds every step outside.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "every_size.h"
#include "pairs.h"

using namespace keras_ssc;

static std::mt19937 generator(0);

std::vector<float> numbers(long count) {
  std::normal_distribution<float> normal;
  std::vector<float> all(count);
  for (float& one : all) one = normal(generator);
  all.shrink_to_fit();
  return all;
}

std::string setting;
static int of_bfloat16 = 0;  // settings

// The largest difference as a part of the largest value, or not a number.
static double error_of(const std::vector<float>& is, const std::vector<double>& is_to) {
  double largest = 0.1, error = 0;
  for (std::size_t i = 0; i < is.size(); ++i) {
    largest = std::max(largest, std::fabs(is_to[i]));
    const double difference = std::fabs(is[i] - is_to[i]);
    if (!(difference <= error)) error = difference;  // not a number stays
  }
  return error / largest;
}

void compare(const char* what, const std::vector<float>& is, const std::vector<double>& is_to) {
  const double error = error_of(is, is_to);
  if (error <= 1e-5) return;  // not a number fails
  std::printf("%s differs by %g: %s\n", what, error, setting.c_str());
  std::exit(1);
}

static float rounded(float value) { return pair_of(0.f, value) + 0.f; }

Pattern pattern_of(const Rules& rules) {
  const auto [M, N, rows, columns, g, p, block, alternate, dense_taps, set_offset] = rules;
  const int q = std::max(g, p);
  Pattern pattern;
  pattern.in_channels = M;
  pattern.out_channels = N;
  pattern.kernel = {rows, columns};
  pattern.centre = {(rows - 1) / 2, (columns - 1) / 2};
  int others = 0;
  for (int r = 1; r <= M; ++r) {
    if (g && r % g == 0) {
      pattern.kxk.push_back(r);
    } else if (p && ++others % p == 0) {
      pattern.pointwise.push_back(r);
    }
  }
  const bool one = dense_taps || pattern.kxk.empty();  // matrix
  for (int parity = 0; parity < (one ? 1 : 2); ++parity) {
    pattern.taps.emplace_back();
    pattern.filters.emplace_back();
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < columns; ++c)
        if (one || (r + c) % 2 == parity) pattern.taps.back().push_back({r, c});
    for (int n = 0; n < N; ++n)
      if (one || (alternate ? n % 2 : n >= N / 2) == parity) pattern.filters.back().push_back(n);
  }
  for (int n = 0; n < N; ++n)
    pattern.shifts.push_back(block ? n * q / N : n % q + set_offset * (n / q));
  return pattern;
}

Axis axis_of(int in, int kernel, int stride, int dilation, bool same) {
  const int reach = (kernel - 1) * dilation + 1;
  const int out = same ? (in + stride - 1) / stride : (in - reach) / stride + 1;
  const int needed = (out - 1) * stride + reach;
  return {in, out, stride, dilation, same && needed > in ? (needed - in) / 2 : 0};
}

void convolution(const Pattern& pattern, int batch, Axis rows, Axis columns, int widest,
                 int slices) {
  Problem problem = {pattern, batch, rows, columns, usable_lanes(pattern, widest), nullptr};
  problem.micro = microkernels_for(problem.lanes);
  const int M = pattern.in_channels, N = pattern.out_channels;
  const auto x = numbers((long)batch * rows.in * columns.in * M);
  const auto dy = numbers((long)batch * rows.out * columns.out * N);
  const auto bias = numbers(N), residual = numbers((long)batch * rows.out * columns.out * N);
  std::vector<std::vector<float>> weights, gradients;
  std::vector<std::vector<double>> sums;
  for (std::size_t m = 0; m < pattern.filters.size(); ++m) {
    const long positions = pattern.taps[m].size() * pattern.kxk.size() + pattern.pointwise.size();
    weights.push_back(numbers(positions * pattern.filters[m].size()));
    gradients.push_back(numbers(weights.back().size()));
    sums.emplace_back(weights.back().size());
  }
  std::vector<double> y(dy.size()), dx(x.size()), y16(dy.size());
  for (std::size_t m = 0; m < pattern.filters.size(); ++m) {
    std::vector<std::array<int, 3>> positions;
    for (const auto& tap : pattern.taps[m])
      for (int r : pattern.kxk) positions.push_back({tap[0], tap[1], r});
    for (int r : pattern.pointwise) positions.push_back({pattern.centre[0], pattern.centre[1], r});
    const std::size_t count = pattern.filters[m].size();
    for (std::size_t k = 0; k < positions.size(); ++k)
      for (std::size_t f = 0; f < count; ++f)
        for (int b = 0; b < batch; ++b)
          for (int i = 0; i < rows.out; ++i)
            for (int j = 0; j < columns.out; ++j) {
              const int n = pattern.filters[m][f];
              const int at = i * rows.stride - rows.pad + positions[k][0] * rows.dilation;
              const int to = j * columns.stride - columns.pad + positions[k][1] * columns.dilation;
              if (at < 0 || at >= rows.in || to < 0 || to >= columns.in) continue;
              const int channel = (positions[k][2] + pattern.shifts[n]) % M;
              const long in = ((long)(b * rows.in + at) * columns.in + to) * M + channel;
              const long out = ((long)(b * rows.out + i) * columns.out + j) * N + n;
              y[out] += (double)x[in] * weights[m][k * count + f];
              y16[out] += (double)rounded(x[in]) * rounded(weights[m][k * count + f]);
              dx[in] += (double)dy[out] * weights[m][k * count + f];
              sums[m][k * count + f] += (double)x[in] * dy[out];
            }
  }
  const Runner run = [](int parts, const std::function<void(int)>& job) {
    for (int part = 0; part < parts; ++part) job(part);
  };
  std::vector<const float*> matrices;
  std::vector<float*> outputs;
  for (std::size_t m = 0; m < weights.size(); ++m) {
    matrices.push_back(weights[m].data());
    outputs.push_back(gradients[m].data());
  }
  // What is not written stays not a number.
  std::vector<float> result(y.size(), NAN), slope(dx.size(), NAN);
  for (auto& gradient : gradients) std::fill(gradient.begin(), gradient.end(), NAN);
  const Epilogue epilogue = {bias.data(), residual.data(), true, 2.5f};
  forward(problem, x.data(), matrices, epilogue, result.data(), slices, run);
  input_gradient(problem, dy.data(), matrices, slope.data(), slices, run);
  weight_gradient(problem, x.data(), dy.data(), outputs, slices, run);
  const auto scale = numbers(N);
  const auto after = [&](bool scaled, const std::vector<double>& sums) {
    std::vector<double> all(y.size());
    for (std::size_t i = 0; i < y.size(); ++i) {
      all[i] = sums[i] * (scaled ? scale[i % N] : 1) + bias[i % N] + residual[i];
      all[i] = std::min(scaled ? INFINITY : 2.5, std::max(0.0, all[i]));
    }
    return all;
  };
  compare("y", result, after(false, y));
  std::fill(result.begin(), result.end(), NAN);
  Epilogue with_scale = {bias.data(), residual.data(), true};  // errors are those of large sums
  with_scale.scale = scale.data();
  forward(problem, x.data(), matrices, with_scale, result.data(), slices, run);
  compare("scaled y", result, after(true, y));
  compare("dx", slope, dx);
  for (std::size_t m = 0; m < weights.size(); ++m) compare("dw", gradients[m], sums[m]);
  problem.bfloat16 = true;
  std::fill(result.begin(), result.end(), NAN);
  forward(problem, x.data(), matrices, epilogue, result.data(), slices, run);
  if (error_of(result, after(false, y)) <= 1e-5) return;  // it would not pay
  compare("y of bfloat16", result, after(false, y16));
  ++of_bfloat16;
  std::vector<float> again(y.size(), NAN);
  forward(problem, x.data(), matrices, epilogue, again.data(), slices % 4 + 1, run);
  if (again == result) return;  // whatever it is cut into, bit for bit
  std::printf("y of bfloat16 is another one: %s\n", setting.c_str());
  std::exit(1);
}

int main() {
  int runs = 0;
  // clang-format off
  const Rules patterns[] = {
      {32, 32, 3, 3, 8, 3},   {64, 64, 3, 3, 16, 5}, {13, 9, 3, 3, 4, 2},
      {20, 32, 3, 3, 4, 8},   {3, 16, 3, 3, 0, 1},   {16, 48, 3, 3, 8, 0},
      {32, 16, 1, 1, 0, 2},   {16, 16, 7, 7, 8, 4},  {16, 16, 2, 5, 8, 3},
      {128, 128, 3, 3, 8, 3}, {32, 64, 3, 3, 32, 9}, {8, 16, 3, 3, 8, 7},
      {16, 24, 3, 3, 4, 1},   {16, 24, 3, 3, 8, 1},  {12, 20, 3, 3, 4, 4},
      {24, 58, 1, 1, 0, 2, true},                    {58, 58, 1, 1, 0, 2, true},
      {16, 96, 1, 1, 0, 2, true},                    {24, 40, 1, 1, 0, 4},
      {64, 80, 1, 1, 0, 8},   {104, 104, 3, 3, 2, 52}, {36, 48, 3, 3, 12, 5},
      {27, 33, 3, 3, 3, 3},   {30, 34, 1, 1, 0, 5},  {34, 31, 1, 1, 0, 17, true},
      {18, 21, 3, 3, 0, 6},   {32, 32, 3, 3, 16, 15}, {16, 32, 3, 3, 4, 3},
      {24, 36, 3, 3, 6, 2, true},                    {16, 40, 3, 3, 8, 3, false, true},
      {20, 22, 3, 3, 5, 1, false, true},             {16, 32, 3, 3, 8, 3, false, false, true},
      {9, 7, 1, 1, 1, 0, false, false, true},        {16, 32, 3, 3, 8, 3, false, false, false, 3},
      {32, 44, 1, 1, 0, 4, false, false, false, 5},  {16, 16, 3, 3, 16, 0},
      {40, 40, 3, 3, 20, 19, false, true}, {1, 1, 3, 3, 1, 0}, {2, 3, 1, 1, 0, 1}};
  const int shapes[][5] = {{1, 1, 1, 1, 1}, {3, 7, 2, 1, 1}, {1, 33, 1, 1, 1}, {9, 8, 2, 1, 1},
                           {8, 17, 1, 2, 1}, {9, 5, 3, 2, 1}, {10, 12, 1, 1, 2},
                           {4, 4, 7, 1, 1}, {13, 13, 2, 1, 1}};
  // clang-format on
  for (const auto& p : patterns)
    for (const auto& s : shapes)
      for (bool same : {true, false})
        for (int widest : {4, 8, 16}) {
          if (!same && (s[0] <= (p.rows - 1) * s[4] || s[1] <= (p.columns - 1) * s[4])) continue;
          setting = "";
          for (int one :
               {p.M, p.N, p.rows, p.columns, p.g, p.p, (int)p.block, (int)p.alternate,
                (int)p.dense_taps, p.set_offset, s[0], s[1], s[2], s[3], s[4], (int)same, widest})
            setting += std::to_string(one) + " ";
          convolution(pattern_of(p), s[2], axis_of(s[0], p.rows, s[3], s[4], same),
                      axis_of(s[1], p.columns, s[3], s[4], same), widest, 1 + runs % 3);
          ++runs;
        }
  // Large enough that what comes next is fetched ahead.
  const Rules large[] = {{16, 96, 1, 1, 0, 2, true}, {96, 24, 1, 1, 0, 2, true},
                         {32, 64, 3, 3, 8, 3},       {32, 32, 3, 3, 32, 19},
                         {20, 20, 3, 3, 10, 9},      {96, 96, 3, 3, 96, 0, false, false, true}};
  for (const auto& p : large)
    for (int stride : {1, 2}) {
      if (stride == 2 && p.rows == 1) continue;
      setting = "large " + std::to_string(p.M) + " " + std::to_string(stride);
      const Axis axis = axis_of(38, p.rows, stride, 1, true);
      convolution(pattern_of(p), 3, axis, axis, 16, 1 + runs++ % 3);
    }
  // clang-format off
  // Served row by row: (M, N, g, p) for every kind of vector, on maps at least 8 wide.
  const int by_rows[][4] = {{32, 32, 8, 3},  {32, 64, 8, 2},   {64, 32, 8, 4},   {48, 32, 8, 1},
                            {32, 48, 8, 3},  {32, 32, 8, 0},   {24, 32, 8, 5},   {40, 64, 8, 7},
                            {32, 32, 16, 8}, {64, 96, 16, 15}, {64, 64, 32, 3},  {32, 128, 32, 31},
                            {64, 128, 64, 9}, {32, 32, 4, 1},  {16, 64, 4, 4},   {32, 64, 4, 8},
                            {32, 64, 8, 16}, {16, 32, 4, 0},   {128, 64, 16, 2}, {32, 16, 8, 3}};
  const int maps[][2] = {{8, 1}, {9, 2}, {10, 3}, {11, 1}, {13, 2}, {15, 1}, {16, 3}, {17, 1},
                         {21, 2}, {24, 1}, {33, 1}};
  // clang-format on
  for (const auto& p : by_rows)
    for (const auto& map : maps)
      for (int rows : {1, 2, 5})
        for (bool same : {true, false})
          for (int widest : {8, 16}) {
            if (!same && rows < 3) continue;
            convolution(pattern_of({p[0], p[1], 3, 3, p[2], p[3]}), map[1],
                        axis_of(rows, 3, 1, 1, same),
                        axis_of(map[0] + (same ? 0 : 2), 3, 1, 1, same), widest, 1 << runs % 3);
            ++runs;
          }
  runs += depthwise_sizes() + channel_orders() + normalizations();
  if (paired_microkernels_for(16)) std::printf("%d of bfloat16\n", of_bfloat16);
  std::printf("%d settings\n", runs);
}
