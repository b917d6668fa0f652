#pragma once
#include <septum/backend/cuda.hpp>

#include <span>
#include <vector>

#include "layer_run.hpp"

/// Stored values from doubles and back.
template <class T>
std::vector<T> stored(std::vector<double> const& values) {
  std::vector<T> all;
  for (double const value : values)
    all.push_back(static_cast<T>(static_cast<septum::arithmetic_t<T>>(value)));
  return all;
}
template <class T>
std::vector<double> restored(std::vector<T> const& values) {
  std::vector<double> all;
  for (T const value : values)
    all.push_back(static_cast<double>(static_cast<septum::arithmetic_t<T>>(value)));
  return all;
}

/// Device arrays from and to the host, one after the other in a stream.
template <class T>
septum::device_memory<T> upload(septum::cuda_stream const& stream, std::vector<T> const& values) {
  septum::device_memory<T> memory{stream.api(), values.size()};
  copy(stream, septum::view<T const, 1>{values.data(), {std::ssize(values)}}, memory.values());
  stream.synchronize();
  return memory;
}
template <class T>
std::vector<T> download(septum::cuda_stream const& stream, septum::device_memory<T> const& memory) {
  std::vector<T> values(memory.size());
  copy(stream, septum::view<T const, 1, septum::device_space>{memory.values()},
       septum::view<T, 1>{values.data(), {std::ssize(values)}});
  stream.synchronize();
  return values;
}

/// Every pass of kernel<B, Kind, T> on a device; what run_layer (layer_run.hpp) does on the host.
template <class B, class Kind, class T>
layer_result<double> run_device_layer(septum::context<B>& context,
                                      septum::cuda_stream const& stream, layer_case const& given,
                                      septum::counter_rng step = {7, 8}) {
  using kernel = septum::kernel<B, Kind, T>;
  auto const& problem = given.problem;
  auto const& api = stream.api();
  auto const parameters = upload(stream, stored<T>(given.parameters));
  auto const x = upload(stream, stored<T>(given.x));
  auto const dy = upload(stream, stored<T>(given.dy));
  septum::device_memory<T> const inference{api, given.dy.size()};
  septum::device_memory<T> const output{api, given.dy.size()};
  septum::device_memory<T> const dx{api, problem.input_gradient ? given.x.size() : 0};
  septum::device_memory<T> const dparameters{api, given.parameters.size()};
  auto const map = [&](septum::device_memory<T> const& memory, septum::shape s) {
    return septum::view<T, 4, septum::device_space>{memory.data(),
                                                    {problem.batch, s.height, s.width, s.channels}};
  };
  auto const in = map(x, problem.in);

  auto plan = kernel::prepare(context, problem);
  auto const packed = kernel::pack(context, plan, parameters.values());
  kernel::forward(context, plan, packed, in, map(inference, problem.out));
  layer_result<double> result{restored(download(stream, inference)), {}, {}, {}};
  if (problem.training) {
    auto saved = kernel::make_saved(context, plan);
    auto const random = upload(stream, std::vector<septum::counter_rng>{step});
    kernel::forward_train(context, plan, packed, saved, in, map(output, problem.out),
                          septum::device_step{random.values()});
    kernel::backward(context, plan, packed, saved, in, map(output, problem.out),
                     map(dy, problem.out), map(dx, problem.in), dparameters.values());
    result.output = restored(download(stream, output));
    result.dx = restored(download(stream, dx));
    result.dparameters = restored(download(stream, dparameters));
  }
  return result;
}
