// expect: septum: a stage of run_pipeline takes no item. FIX:
#include <septum/exec/ordered_pipeline.hpp>

#include <string>

namespace sp = septum;

void doubled(std::optional<int> (*source)(), void (*sink)(int&)) {
#if SEPTUM_FAIL
  auto const stage = [](std::string const&) {};
#else
  auto const stage = [](int& item) { item *= 2; };
#endif
  sp::run_pipeline(2, source, sink, stage);
}
