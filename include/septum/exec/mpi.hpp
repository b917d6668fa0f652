#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>

#include <mpi.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

namespace septum::inline SEPTUM_ABI {

/// The processes that mpirun started together, of which this is one. One object per program, made
/// and destroyed by the main thread.
class mpi_group {
 public:
  /// Whether this process was started by mpirun, srun or the like; asks no library.
  [[nodiscard]] static bool started_together() {
    for (char const* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"})
      if (std::getenv(name) != nullptr) return true;
    return false;
  }

  /// throws  unsupported_error `septum.mpi.1` when MPI does not start
  mpi_group() {
    int provided = MPI_THREAD_SINGLE;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
    check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
  }
  mpi_group(mpi_group const&) = delete;
  mpi_group& operator=(mpi_group const&) = delete;
  ~mpi_group() { MPI_Finalize(); }

  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int size() const { return size_; }

  /// Every process's `own` values, by rank: `all` has size() times as many.
  /// throws  unsupported_error `septum.mpi.1` when a process is gone, shape_error on other sizes
  template <class T>
    requires std::same_as<T, float> || std::same_as<T, double>
  void gather(std::span<T const> own, std::span<T> all) const {
    SEPTUM_EXPECTS(all.size() == own.size() * static_cast<std::size_t>(size_),
                   shape_error("septum.mpi.2", "gathered values have no room", fault::internal));
    MPI_Datatype const type = std::same_as<T, float> ? MPI_FLOAT : MPI_DOUBLE;
    // Counts are int in MPI.
    constexpr std::size_t most = std::size_t{1} << 30U;
    SEPTUM_EXPECTS(own.size() < most,
                   shape_error("septum.mpi.2", "too many values to gather", fault::internal));
    auto const count = static_cast<int>(own.size());
    check(MPI_Allgather(own.data(), count, type, all.data(), count, type, MPI_COMM_WORLD),
          "MPI_Allgather");
  }

  /// The value of the first process.
  [[nodiscard]] std::uint64_t shared(std::uint64_t value) const {
    check(MPI_Bcast(&value, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD), "MPI_Bcast");
    return value;
  }

  /// Ends all processes: for a failure that the others would wait for in vain.
  static void end_all(int code) { MPI_Abort(MPI_COMM_WORLD, code); }

 private:
  static void check(int code, char const* call) {
    if (code == MPI_SUCCESS) return;
    std::array<char, MPI_MAX_ERROR_STRING> text{};
    int length = 0;
    MPI_Error_string(code, text.data(), &length);
    throw unsupported_error(
        "septum.mpi.1",
        std::string{call} + ": " + std::string(text.data(), static_cast<std::size_t>(length)),
        fault::resource);
  }

  int rank_ = 0;
  int size_ = 1;
};

}  // namespace septum::inline SEPTUM_ABI
