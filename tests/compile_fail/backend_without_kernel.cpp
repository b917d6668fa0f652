// expect: septum: neither this backend nor its fallbacks implement this layer
// expect: with_backend<abacus>
// expect: the_layer<.*conv<8, ?3
#include <septum/backend/reference.hpp>
#include <septum/net/ensemble.hpp>

#include <string_view>
#include <type_traits>

struct abacus {
  using memory_space = septum::host_space;
  using fallback = void;
  static constexpr std::string_view name = "abacus";
};
using backend = std::conditional_t<SEPTUM_FAIL, abacus, septum::reference>;
struct net : septum::stack<septum::input<1>, septum::conv<8, 3>, septum::softmax> {};

septum::ensemble<net, backend> build() {
  return septum::ensemble<net, backend>{std::vector<std::vector<float>>{}};
}
