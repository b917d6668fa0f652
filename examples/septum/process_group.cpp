#include "process_group.hpp"

#include <septum/core/error.hpp>
#include <septum/core/text.hpp>

#include <unistd.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

#if defined(SEPTUM_PROGRAM_MPI)
#  include <septum/exec/mpi.hpp>
#endif

namespace program {

#if defined(SEPTUM_PROGRAM_MPI)
namespace {

// The one group of this process, for as long as main holds it.
std::unique_ptr<septum::mpi_group>& group() {
  static std::unique_ptr<septum::mpi_group> instance;
  return instance;
}

// Fills in the blocks of other processes; all have equally many.
template <class T>
void gather_blocks(std::span<T> all) {
  auto const own = all.size() / static_cast<std::size_t>(process_count());
  std::vector<T> const mine(
      all.begin() + static_cast<std::ptrdiff_t>(own * static_cast<std::size_t>(process_rank())),
      all.begin() +
          static_cast<std::ptrdiff_t>(own * static_cast<std::size_t>(process_rank() + 1)));
  group()->gather(std::span<T const>{mine}, all);
}

}  // namespace

process_group::process_group() {
  if (septum::mpi_group::started_together()) group() = std::make_unique<septum::mpi_group>();
}
process_group::~process_group() { group().reset(); }
int process_rank() { return group() ? group()->rank() : 0; }
int process_count() { return group() ? group()->size() : 1; }

void abandon_processes(int exit_code) {
  if (process_count() > 1) septum::mpi_group::end_all(exit_code);
}
#else
process_group::process_group() = default;
process_group::~process_group() = default;
int process_rank() { return 0; }
int process_count() { return 1; }
void abandon_processes(int) {}
#endif

std::string run_token() {
  auto const now = std::chrono::system_clock::now().time_since_epoch().count();
  auto token = static_cast<std::uint64_t>(now) ^ (static_cast<std::uint64_t>(::getpid()) << 40U);
#if defined(SEPTUM_PROGRAM_MPI)
  if (group()) token = group()->shared(token);
#endif
  return septum::to_text(token);
}

septum::gradient_parts deal_parts(int parts) {
  int const processes = process_count();
  if (parts == 0) parts = processes;
  if (parts % processes != 0)
    throw septum::unsupported_error(
        "septum.program.104", "--parts " + std::to_string(parts) + ": expected a multiple of the " +
                                  std::to_string(processes) + " processes");
  septum::gradient_parts dealt{.count = parts,
                               .first = parts / processes * process_rank(),
                               .last = parts / processes * (process_rank() + 1)};
#if defined(SEPTUM_PROGRAM_MPI)
  if (processes > 1)
    dealt.exchange = [](std::span<float> gradients, std::span<double> sums) {
      gather_blocks(gradients);
      gather_blocks(sums);
    };
#endif
  return dealt;
}

}  // namespace program
