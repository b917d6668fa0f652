#include "trainable_nets.hpp"

#include <septum/backend/eigen.hpp>
#include <septum/backend/onednn.hpp>
#include <septum/backend/reference.hpp>
#include <type_traits>

#include "all_nets.hpp"
#include "nets.hpp"

namespace program {
namespace {

template <class Net, septum::Backend B>
trainable_net erase(bool dense, septum::exec::threads threads, septum::host_precision precision) {
  auto constexpr direct = septum::convolution_algorithm::direct;
  if (dense) {
    using form = septum::fully_convolutional_t<Net>;
    return {septum::gradient_net<form, B>{threads, precision},
            septum::net<septum::fused_t<form>, B>{threads, direct, precision}};
  }
  return {septum::gradient_net<Net, B>{threads, precision},
          septum::net<septum::fused_t<Net>, B>{threads, direct, precision}};
}

}  // namespace

net_properties properties_of(std::string const& name, std::size_t channels, std::size_t classes) {
  return with_any_net(name, channels, classes, []<class Net>(std::type_identity<Net>) {
    return net_properties{septum::trained_net::of<Net>(), septum::base_stack_t<Net>::signature,
                          septum::tensor_layout<Net>()};
  });
}

trainable_net make_trainable(std::string const& name, std::size_t channels, std::size_t classes,
                             bool dense, common_options const& common) {
  auto const threads = common.executor();
  auto const precision = host_precision_of(common);
  return with_any_net(name, channels, classes, [&]<class Net>(std::type_identity<Net>) {
    if (common.backend == "reference")
      return erase<Net, septum::reference>(dense, threads, precision);
    if (common.backend == "eigen") return erase<Net, septum::eigen>(dense, threads, precision);
    return erase<Net, septum::onednn>(dense, threads, precision);
  });
}

}  // namespace program
