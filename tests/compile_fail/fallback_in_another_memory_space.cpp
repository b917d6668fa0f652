// expect: septum: a backend falls back to one in another memory space
#include <septum/exec/backend.hpp>

struct pocket_space {};
struct plain {
  using memory_space = septum::host_space;
  using fallback = void;
  static constexpr std::string_view name = "plain";
};
template <class Space>
struct fast {
  using memory_space = Space;
  using fallback = plain;
  static constexpr std::string_view name = "fast";
};
using chosen = fast<std::conditional_t<SEPTUM_FAIL, pocket_space, septum::host_space>>;

struct some_kind;
static_assert(std::is_void_v<septum::resolved_backend_t<chosen, some_kind, float>>);
