// Batch normalisation of arrays of every size, beside sums written out.
#include "normalize.h"

#include <algorithm>
#include <cmath>

#include "every_size.h"

using namespace keras_ssc;

static const Runner run = [](int parts, const std::function<void(int)>& job) {
  for (int part = 0; part < parts; ++part) job(part);
};

// With a mean far from zero, where `far`, and with a residual sum or without.
static void normalization(long pixels, int channels, int slices, bool far, bool residual) {
  setting = "normalization";
  for (long one : {pixels, (long)channels, (long)slices, (long)far, (long)residual})
    setting += " " + std::to_string(one);
  const Normalization n = {pixels, channels, slices, run};
  const long size = pixels * channels;
  auto x = numbers(size);
  if (far)
    for (float& value : x) value += 1000;
  const auto sum = numbers(size), dy = numbers(size), more = numbers(size);
  const auto gamma = numbers(channels), beta = numbers(channels);
  std::vector<float> mean(channels), variance(channels), scale(channels), shift(channels);
  std::vector<float> inverse(channels), y(size), dx(size), dr(size);
  std::vector<float> dgamma(channels), dbeta(channels);
  moments(n, x.data(), mean.data(), variance.data());
  scale_and_shift(channels, gamma.data(), beta.data(), mean.data(), variance.data(), 0.1f,
                  scale.data(), shift.data());
  apply(n, x.data(), scale.data(), shift.data(), residual ? sum.data() : nullptr, true, y.data());
  for (int c = 0; c < channels; ++c) inverse[c] = 1 / std::sqrt(variance[c] + 0.1f);
  if (residual)
    gradient(n, dy.data(), more.data(), {y.data(), nullptr, nullptr}, x.data(), gamma.data(),
             mean.data(), inverse.data(), dx.data(), dgamma.data(), dbeta.data(), dr.data());
  else
    gradient(n, dy.data(), nullptr, {nullptr, scale.data(), shift.data()}, x.data(), gamma.data(),
             mean.data(), inverse.data(), dx.data(), dgamma.data(), dbeta.data(), nullptr);
  std::vector<double> means(channels), squares(channels), betas(channels), gammas(channels);
  std::vector<double> cut(size), slopes(size), back(size);
  for (long i = 0; i < size; ++i) means[i % channels] += x[i] / (double)pixels;
  for (long i = 0; i < size; ++i) {
    const int c = (int)(i % channels);
    const double distance = x[i] - means[c];
    squares[c] += distance * distance / pixels;
    cut[i] = std::max(0.0, (double)x[i] * scale[c] + shift[c] + (residual ? sum[i] : 0));
    slopes[i] = y[i] > 0 ? (double)dy[i] + (residual ? more[i] : 0) : 0;
    betas[c] += slopes[i];
    gammas[c] += slopes[i] * distance * inverse[c];
  }
  for (long i = 0; i < size; ++i) {
    const int c = (int)(i % channels);
    const double along = (x[i] - means[c]) * inverse[c] * gammas[c];
    back[i] = gamma[c] * inverse[c] * (slopes[i] - (betas[c] + along) / pixels);
  }
  compare("mean", mean, means);
  compare("variance", variance, squares);
  if (far) return;  // the others see the rounding of x beside its mean
  compare("apply", y, cut);
  compare("dbeta", dbeta, betas);
  compare("dgamma", dgamma, gammas);
  if (pixels > 3) compare("dx", dx, back);  // of few it is rounding alone
  if (residual) compare("dresidual", dr, slopes);
}

// Around the numbers of channels and pixels where another loop takes over.
int normalizations() {
  int runs = 0;
  for (int channels : {1, 3, 8, 10, 13, 16, 17, 24, 32, 40, 58, 64, 72, 116, 129, 520, 2053})
    for (long pixels : {1, 2, 3, 5, 15, 16, 17, 31, 63, 64, 65, 130, 1000}) {
      if (pixels * channels > 150000) continue;
      normalization(pixels, channels, 1 + runs % 3, false, runs % 2);
      if (channels < 129) normalization(pixels, channels, 1 + runs % 3, true, true);
      ++runs;
    }
  return runs;
}
