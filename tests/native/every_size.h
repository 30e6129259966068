// What the parts of the program every_size share.
#pragma once

#include <string>
#include <vector>

#include "convolution.h"

extern std::string setting;  // what is tried

std::vector<float> numbers(long count);
// Ends the program where they differ.
void compare(const char* what, const std::vector<float>& is, const std::vector<double>& is_to);

struct Rules {
  int M, N, rows, columns, g, p;
  bool block = false, alternate = false, dense_taps = false;
  int set_offset = 0;
};

keras_ssc::Pattern pattern_of(const Rules& rules);
keras_ssc::Axis axis_of(int in, int kernel, int stride, int dilation, bool same);
// All passes, beside sums written out.
void convolution(const keras_ssc::Pattern& pattern, int batch, keras_ssc::Axis rows,
                 keras_ssc::Axis columns, int widest, int slices);

// Each returns how many settings it tried.
int depthwise_sizes();
int channel_orders();
int normalizations();
