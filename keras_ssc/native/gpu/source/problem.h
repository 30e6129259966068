// What a launch is given; keras_ssc/native/gpu/launch.py fills in the fields, in this order.
#pragma once

struct Problem {
  int batch;
  int in_rows, in_columns, in_pieces;  // of the tensor that is read; a piece is 16 bytes
  int out_rows, out_columns, outputs;
  int step_out_rows, step_out_columns;  // from one result of a phase to the next, in the output
  // A tile is `tile_images` x `tile_rows` x `tile_columns` results of a phase.
  int tile_images, tile_rows, tile_columns;
  int tiles, tiles_down, tiles_across;  // all tiles; those of one image
  // Its window is what it reads: one result further down is `step_in_rows` rows further down.
  int window_rows, window_columns;
  int first_row, first_column;  // of the window of the first tile, in the tensor that is read
  int step_in_rows, step_in_columns;
  int pieces, pitch;            // of one pixel of the window; bytes from a pixel to the next
  int row_pitch, image_pitch;   // bytes of a row, of an image
  int row_group, column_group;  // see kept in window.h
  int dy_pieces, dy_pitch;      // the same of the gradient's tile (weight_gradient.cu)
  int jobs, jobs_of_part;       // runs of 8 NT outputs
  int stages;                   // windows in shared memory: with 2, one is filled while one is read
  // Bytes from the start of shared memory. `at_dy`: the gradient's tiles.
  int at_steps, at_starts, at_pieces, at_pixels, at_places, at_fetches, at_targets;
  int at_weights, at_dy, at_windows;
  int has_bias, has_residual, relu;
  int at_bias;  // values from the start of the array that holds it
};
