#pragma once
#include <septum/backend/detail/instruction_set.hpp>
#include <septum/core/half.hpp>

#include <cstddef>
#include <cstdlib>
#include <string_view>

#if defined(__x86_64__)
#  include <cpuid.h>
#  include <immintrin.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#  include <sys/syscall.h>
#  include <unistd.h>
#endif

/// AVX512_BF16: 32 products of numbers in bfloat16 an instruction, added in pairs to 16 floats.
/// Found out when the program runs, whatever flags it was compiled with.
namespace septum::inline SEPTUM_ABI::detail {

/// True where the kernels for bfloat16 run. ONEDNN_MAX_CPU_ISA, set to less than
/// AVX512_CORE_BF16, holds them back as it does oneDNN.
inline bool has_bfloat16_instructions() {
#if defined(__x86_64__)
  static bool const has = [] {
    char const* const limit = std::getenv("ONEDNN_MAX_CPU_ISA");
    std::string_view const name = limit == nullptr ? "" : limit;
    bool const narrow = name == "AVX512_CORE" || name == "AVX512_CORE_VNNI";
    return widest_instruction_set() == instruction_set::avx512 && !narrow &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bf16");
  }();
  return has;
#else
  return false;
#endif
}

/// True where matrix registers (AMX) multiply numbers in bfloat16: the operating system has to be
/// asked once for every process. ONEDNN_MAX_CPU_ISA, set to less than AVX512_CORE_AMX, holds them
/// back as it does oneDNN.
inline bool has_amx_instructions() {
#if defined(__x86_64__) && defined(__linux__)
  static bool const has = [] {
    char const* const limit = std::getenv("ONEDNN_MAX_CPU_ISA");
    std::string_view const name = limit == nullptr ? "" : limit;
    bool const allowed = name.empty() || name == "ALL" || name == "DEFAULT" ||
                         name.find("AMX") != std::string_view::npos;
    if (!allowed || !has_bfloat16_instructions()) return false;
    constexpr unsigned amx_bf16 = 1U << 22U;
    constexpr unsigned amx_tile = 1U << 24U;
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
    if ((d & amx_bf16) == 0 || (d & amx_tile) == 0) return false;
    constexpr long request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
    constexpr long tile_data = 18;               // XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  }();
  return has;
#else
  return false;
#endif
}

#if defined(__x86_64__)

/// A register of 16 floats, and how it meets numbers in bfloat16. Callers are compiled for the same
/// instructions.
struct bfloat16_registers {
  static constexpr int width = 16;

  [[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16"), gnu::always_inline]] static inline __m512
  load(bfloat16 const* from) {
    __m256i const halves = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(from));
    return _mm512_castsi512_ps(
        _mm512_maskz_slli_epi32(0xFFFF, _mm512_maskz_cvtepu16_epi32(0xFFFF, halves), 16));
  }
  /// The first `count` of 16; the others are 0.
  [[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16"), gnu::always_inline]] static inline __m512
  load(bfloat16 const* from, std::ptrdiff_t count) {
    __m256i const halves = _mm256_maskz_loadu_epi16(first(count), from);
    return _mm512_castsi512_ps(
        _mm512_maskz_slli_epi32(0xFFFF, _mm512_maskz_cvtepu16_epi32(0xFFFF, halves), 16));
  }
  [[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16"), gnu::always_inline]] static inline __m512
  load(float const* from, std::ptrdiff_t count) {
    return _mm512_maskz_loadu_ps(first(count), from);
  }
  [[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16"), gnu::always_inline]] static inline void
  store(bfloat16* to, __m512 values) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh(values));
  }
  [[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16"), gnu::always_inline]] static inline void
  store(bfloat16* to, __m512 values, std::ptrdiff_t count) {
    _mm256_mask_storeu_epi16(to, first(count), (__m256i)_mm512_cvtneps_pbh(values));
  }
  [[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16"), gnu::always_inline]] static inline void
  store(float* to, __m512 values, std::ptrdiff_t count) {
    _mm512_mask_storeu_ps(to, first(count), values);
  }

 private:
  static constexpr __mmask16 first(std::ptrdiff_t count) {
    if (count <= 0) return 0;
    return count >= width ? __mmask16{0xFFFF} : static_cast<__mmask16>((1U << count) - 1U);
  }
};

/// The nearest numbers in bfloat16, ties to even.
[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] inline void round_to_bfloat16(
    float const* from, std::ptrdiff_t count, bfloat16* to) {
  using registers = bfloat16_registers;
  for (std::ptrdiff_t i = 0; i < count; i += registers::width)
    registers::store(to + i, registers::load(from + i, count - i), count - i);
}
[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] inline void widen_bfloat16(
    bfloat16 const* from, std::ptrdiff_t count, float* to) {
  using registers = bfloat16_registers;
  for (std::ptrdiff_t i = 0; i < count; i += registers::width)
    registers::store(to + i, registers::load(from + i, count - i), count - i);
}

#endif

}  // namespace septum::inline SEPTUM_ABI::detail
