#pragma once
#include <septum/core/config.hpp>
#include <septum/exec/block_kernel.hpp>

#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

namespace septum::inline SEPTUM_ABI {

namespace detail {

/// Moves the back references of a mangled type (Itanium C++ ABI, as used by g++, clang and nvcc) by
/// one: S_ becomes S0_, S0_ becomes S1_, and so on, because the function's own name comes first.
[[nodiscard]] inline std::string shift_back_references(std::string_view mangled) {
  constexpr std::string_view digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  auto const is_digit = [](char c) { return c >= '0' && c <= '9'; };
  std::string shifted;
  for (std::size_t i = 0; i < mangled.size();) {
    if (is_digit(mangled[i])) {  // an identifier with its length before it
      std::size_t length = 0;
      std::size_t end = i;
      while (end < mangled.size() && is_digit(mangled[end]))
        length = 10 * length + static_cast<std::size_t>(mangled[end++] - '0');
      shifted += mangled.substr(i, end - i + length);
      i = end + length;
    } else if (mangled[i] == 'L' && i + 1 < mangled.size() && !is_digit(mangled[i + 1])) {
      std::size_t const end = mangled.find('E', i);  // a literal: type, digits, E
      shifted += mangled.substr(i, end - i + 1);
      i = end + 1;
    } else if (mangled[i] == 'S' && i + 1 < mangled.size() &&
               (mangled[i + 1] == '_' || digits.find(mangled[i + 1]) < digits.size())) {
      std::size_t const end = mangled.find('_', i);
      std::size_t number = 0;  // of the reference that comes next: one more than this one's
      if (end > i + 1) {
        for (char const c : mangled.substr(i + 1, end - i - 1))
          number = digits.size() * number + digits.find(c);
        ++number;
      }
      std::string text;
      for (std::size_t left = number;; left /= digits.size()) {
        text.insert(text.begin(), digits[left % digits.size()]);
        if (left < digits.size()) break;
      }
      shifted += "S" + text + "_";
      i = end + 1;
    } else {
      shifted += mangled[i++];
    }
  }
  return shifted;
}

}  // namespace detail

/// Name under which a compiled kernel library holds the launch of kernel F: the mangled name of
/// `septum_for_each_index<F>(F, int, int)` for an index kernel, of septum_for_each_block for a
/// block kernel (exec/for_each.cuh).
template <class F>
[[nodiscard]] std::string kernel_entry_name() {
  std::string const entry =
      BlockKernel<F> ? "_Z21septum_for_each_blockI" : "_Z21septum_for_each_indexI";
  return entry + detail::shift_back_references(typeid(F).name()) + "EvT_ii";
}

/// Kernels that belong together, so that the device's entries and what host code expects of
/// them come from one list.
template <class... Functors>
struct functor_list {};

/// Entries that a compiled kernel library has to hold for a list.
template <class... Functors>
[[nodiscard]] std::vector<std::string> kernel_entry_names(functor_list<Functors...>) {
  return {kernel_entry_name<Functors>()...};
}

}  // namespace septum::inline SEPTUM_ABI
