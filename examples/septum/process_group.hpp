#pragma once
#include <cstdint>
#include <septum/train/gradient_parts.hpp>
#include <string>

namespace program {

/// The processes that share a run when mpirun started several: rank 0 of 1 otherwise, and where the
/// program was built without MPI.
[[nodiscard]] int process_rank();
[[nodiscard]] int process_count();

/// Starts MPI when mpirun started this process, and ends it with the object. Made once by main.
class process_group {
 public:
  process_group();
  process_group(process_group const&) = delete;
  process_group& operator=(process_group const&) = delete;
  ~process_group();
};

/// A word that the processes of this run share and no other run has.
[[nodiscard]] std::string run_token();

/// Deals batches out in so many parts, some for every process; 0: one for each.
/// @throws septum::unsupported_error when there are fewer parts than processes
[[nodiscard]] septum::gradient_parts deal_parts(int parts);

/// Ends all processes of the run, when there are several: the others would wait for this one.
void abandon_processes(int exit_code);

}  // namespace program
