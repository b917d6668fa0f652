#pragma once
#include <septum/exec/cuda_api.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/exec/kernel_name.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <vector>

/// A CUDA device that lives on the host: memory is host memory (filled with bytes that are NaN as
/// float), streams are queues whose order may be made as unkind as CUDA allows, and index kernels
/// run through for_each_index. It fails on request at the n-th call, counts what is alive, and
/// notes every misuse. Threads take turns. One exists at a time, since CUDA's functions have no
/// place for a pointer to it.
class host_device {
 public:
  enum class order {
    eager,  ///< work runs as soon as it may
    late    ///< work runs when somebody waits for it, streams take turns at random
  };

  explicit host_device(order when = order::eager, std::uint32_t seed = 1)
      : when_{when}, random_{seed * 2654435761U + 1} {
    current() = this;
  }
  ~host_device() {
    for (auto const& [memory, bytes] : device_memory_) std::free(memory);
    for (auto const& [memory, bytes] : host_memory_) std::free(memory);
    current() = nullptr;
  }
  host_device(host_device const&) = delete;
  host_device& operator=(host_device const&) = delete;

  /// Puts functors into the kernel library that the device loads.
  template <class... Functors>
  void add(septum::functor_list<Functors...>) {
    (add_functor<Functors>(), ...);
  }

  int calls = 0;                        ///< so far, of functions that can fail
  int fail_at = 0;                      ///< number of the call that fails, from 1; 0: none
  int fail_code = 2;                    ///< what it reports: out of memory
  std::size_t memory_limit = SIZE_MAX;  ///< of device memory, bytes
  int devices = 1;
  int compute_capability = 90;
  int driver_version = 13000;
  std::vector<std::string> faults;    ///< misuses of the interface
  std::vector<std::string> launches;  ///< names of the kernels, in order of the calls
  int graph_launches = 0;

  [[nodiscard]] std::size_t alive() const {
    return device_memory_.size() + host_memory_.size() + streams_.size() + events_.size() +
           graphs_.size() + executables_.size() + static_cast<std::size_t>(libraries_);
  }
  [[nodiscard]] std::size_t device_bytes() const { return device_bytes_; }
  [[nodiscard]] std::size_t largest_device_bytes() const { return largest_device_bytes_; }

  /// Keeps other threads out.
  [[nodiscard]] std::unique_lock<std::recursive_mutex> turn() const {
    return std::unique_lock{mutex_};
  }
  /// Queues work of another library into a stream.
  void enqueue(septum::cuda_handle::stream* handle, std::function<void()> run) {
    auto const locked = turn();
    push(handle, {kind::run, std::move(run), 0, 0});
  }
  /// True where [memory, memory + bytes) lies in one allocation of the device.
  [[nodiscard]] bool is_device_memory(void const* memory, std::size_t bytes) const {
    auto const locked = turn();
    return inside(device_memory_, memory, bytes);
  }
  /// False when this call is the one that has to fail.
  [[nodiscard]] bool survives() {
    auto const locked = turn();
    return ++calls != fail_at;
  }

  [[nodiscard]] static septum::cuda_api api() {
    septum::cuda_api table;
    table.malloc = [](void** memory, std::size_t bytes) {
      return guarded([&](host_device& d) {
        if (d.device_bytes_ + bytes > d.memory_limit) return 2;
        *memory = allocate(bytes);
        d.device_memory_[*memory] = bytes;
        d.device_bytes_ += bytes;
        d.largest_device_bytes_ = std::max(d.largest_device_bytes_, d.device_bytes_);
        return 0;
      });
    };
    table.free = [](void* memory) {
      auto& d = self();
      auto const locked = d.turn();
      d.drain();
      auto const found = d.device_memory_.find(memory);
      if (found == d.device_memory_.end()) return d.fault("free of unknown device memory");
      d.device_bytes_ -= found->second;
      std::memset(memory, 0xFF, found->second);
      d.device_memory_.erase(found);
      std::free(memory);
      return 0;
    };
    table.host_alloc = [](void** memory, std::size_t bytes, unsigned) {
      return guarded([&](host_device& d) {
        *memory = allocate(bytes);
        d.host_memory_[*memory] = bytes;
        return 0;
      });
    };
    table.free_host = [](void* memory) {
      auto& d = self();
      auto const locked = d.turn();
      d.drain();
      if (d.host_memory_.erase(memory) == 0) return d.fault("free of unknown pinned memory");
      std::free(memory);
      return 0;
    };
    table.memcpy_async = [](void* to, void const* from, std::size_t bytes, int direction,
                            septum::cuda_handle::stream* stream) {
      return guarded([&](host_device& d) {
        if (direction != 2 && !d.is_device_memory(to, bytes)) d.fault("copy to no device memory");
        if (direction != 1 && !d.is_device_memory(from, bytes))
          d.fault("copy from no device memory");
        return d.queue_copy(to, from, bytes, direction, stream);
      });
    };
    table.memset_async = [](void* to, int value, std::size_t bytes,
                            septum::cuda_handle::stream* stream) {
      return guarded([&](host_device& d) {
        if (!d.is_device_memory(to, bytes)) d.fault("memset of no device memory");
        d.enqueue(stream, [=] { std::memset(to, value, bytes); });
        return 0;
      });
    };
    table.mem_get_info = [](std::size_t* free_bytes, std::size_t* total) {
      return guarded([&](host_device& d) {
        *total = d.memory_limit == SIZE_MAX ? std::size_t{1} << 34 : d.memory_limit;
        *free_bytes = *total - d.device_bytes_;
        return 0;
      });
    };
    table.stream_create = [](septum::cuda_handle::stream** handle, unsigned) {
      return guarded([&](host_device& d) {
        *handle = make_handle<septum::cuda_handle::stream>(d);
        d.streams_[*handle] = {};
        return 0;
      });
    };
    table.stream_destroy = [](septum::cuda_handle::stream* handle) {
      auto& d = self();
      auto const locked = d.turn();
      d.run_until([&] { return d.streams_[handle].queue.empty(); });
      d.streams_.erase(handle);
      return 0;
    };
    table.stream_synchronize = [](septum::cuda_handle::stream* handle) {
      return guarded([&](host_device& d) {
        d.run_until([&] { return d.streams_[handle].queue.empty(); });
        return 0;
      });
    };
    table.stream_wait_event = [](septum::cuda_handle::stream* stream,
                                 septum::cuda_handle::event* event, unsigned) {
      return guarded([&](host_device& d) {
        auto const& mark = d.events_[event];
        d.push(stream, {kind::wait, {}, mark.number, mark.recorded});
        return 0;
      });
    };
    table.stream_begin_capture = [](septum::cuda_handle::stream* stream, int) {
      return guarded([&](host_device& d) {
        if (d.streams_[stream].recording) return d.fault("capture begun twice");
        d.streams_[stream].recording = std::make_shared<tape>();
        return 0;
      });
    };
    table.stream_end_capture = [](septum::cuda_handle::stream* stream,
                                  septum::cuda_handle::graph** graph) {
      auto& d = self();
      auto const locked = d.turn();
      bool const fine = d.survives();
      auto& own = d.streams_[stream];
      if (!own.recording) return d.fault("capture ended that was not begun");
      auto const recorded = std::move(own.recording);
      own.recording = nullptr;
      if (!fine) return d.fail_code;
      *graph = make_handle<septum::cuda_handle::graph>(d);
      d.graphs_[*graph] = recorded;
      return 0;
    };
    table.event_create = [](septum::cuda_handle::event** handle, unsigned) {
      return guarded([&](host_device& d) {
        *handle = make_handle<septum::cuda_handle::event>(d);
        d.events_[*handle] = {d.next_handle_, 0};
        return 0;
      });
    };
    table.event_destroy = [](septum::cuda_handle::event* handle) {
      auto& d = self();
      auto const locked = d.turn();
      d.events_.erase(handle);
      return 0;
    };
    table.event_record = [](septum::cuda_handle::event* event,
                            septum::cuda_handle::stream* stream) {
      return guarded([&](host_device& d) {
        auto& mark = d.events_[event];
        ++mark.recorded;
        d.push(stream, {kind::record, {}, mark.number, mark.recorded});
        return 0;
      });
    };
    table.event_synchronize = [](septum::cuda_handle::event* event) {
      return guarded([&](host_device& d) {
        auto const mark = d.events_[event];
        d.run_until([&] { return d.reached_[mark.number] >= mark.recorded; });
        return 0;
      });
    };
    table.graph_instantiate = [](septum::cuda_handle::graph_executable** executable,
                                 septum::cuda_handle::graph* graph, unsigned long long) {
      return guarded([&](host_device& d) {
        *executable = make_handle<septum::cuda_handle::graph_executable>(d);
        d.executables_[*executable] = d.graphs_[graph];
        return 0;
      });
    };
    table.graph_launch = [](septum::cuda_handle::graph_executable* executable,
                            septum::cuda_handle::stream* stream) {
      return guarded([&](host_device& d) {
        ++d.graph_launches;
        for (auto const& each : d.executables_[executable]->work) d.push(stream, each);
        return 0;
      });
    };
    table.graph_executable_destroy = [](septum::cuda_handle::graph_executable* executable) {
      auto& d = self();
      auto const locked = d.turn();
      d.executables_.erase(executable);
      return 0;
    };
    table.graph_destroy = [](septum::cuda_handle::graph* graph) {
      auto& d = self();
      auto const locked = d.turn();
      d.graphs_.erase(graph);
      return 0;
    };
    table.library_load_data = [](septum::cuda_handle::library** library, void const*, void*, void**,
                                 unsigned, void*, void**, unsigned) {
      return guarded([&](host_device& d) {
        *library = make_handle<septum::cuda_handle::library>(d);
        ++d.libraries_;
        return 0;
      });
    };
    table.library_unload = [](septum::cuda_handle::library*) {
      auto& d = self();
      auto const locked = d.turn();
      --d.libraries_;
      return 0;
    };
    table.library_get_kernel = [](septum::cuda_handle::kernel** kernel,
                                  septum::cuda_handle::library*, char const* name) {
      return guarded([&](host_device& d) {
        auto const found = d.functors_.find(name);
        if (found == d.functors_.end()) return 500;
        *kernel = reinterpret_cast<septum::cuda_handle::kernel*>(&*found);
        return 0;
      });
    };
    table.launch_kernel = [](void const* kernel, septum::launch_extent grid,
                             septum::launch_extent block, void** arguments, std::size_t,
                             septum::cuda_handle::stream* stream) {
      return guarded([&](host_device& d) {
        auto const& found = *static_cast<entry const*>(kernel);
        if (grid.x == 0 || grid.y == 0 || grid.y > 65535 || block.x * block.y * block.z > 1024)
          return d.fault("launch of a shape that no device takes");
        d.launches.push_back(found.first);
        d.enqueue(stream, found.second(d, arguments));
        return 0;
      });
    };
    table.get_device_count = [](int* count) {
      return guarded([&](host_device& d) {
        *count = d.devices;
        return d.devices > 0 ? 0 : 100;
      });
    };
    table.set_device = [](int) { return guarded([](host_device&) { return 0; }); };
    table.device_get_attribute = [](int* value, int attribute, int) {
      return guarded([&](host_device& d) {
        *value = attribute == 75 ? d.compute_capability / 10 : d.compute_capability % 10;
        return 0;
      });
    };
    table.driver_get_version = [](int* version) {
      return guarded([&](host_device& d) {
        *version = d.driver_version;
        return 0;
      });
    };
    table.runtime_get_version = [](int* version) {
      return guarded([&](host_device&) {
        *version = 13000;
        return 0;
      });
    };
    table.get_last_error = [] { return 0; };
    table.get_error_name = [](int code) {
      return code == 2 ? "cudaErrorMemoryAllocation" : "cudaErrorOfTheDouble";
    };
    table.get_error_string = [](int code) {
      return code == 2 ? "out of memory" : "an error of the double";
    };
    return table;
  }

  [[nodiscard]] static host_device& self() { return *current(); }

 private:
  enum class kind { run, record, wait };
  struct item {
    kind what = kind::run;
    std::function<void()> run;
    std::uintptr_t event = 0;
    std::uint64_t count = 0;
  };
  struct tape {
    std::vector<item> work;
  };
  struct stream {
    std::deque<item> queue;
    std::shared_ptr<tape> recording;
  };
  struct event {
    std::uintptr_t number = 0;
    std::uint64_t recorded = 0;
  };
  using launcher = std::function<std::function<void()>(host_device&, void**)>;
  using entry = std::pair<std::string const, launcher>;

  static host_device*& current() {
    static host_device* device = nullptr;
    return device;
  }
  template <class Call>
  static int guarded(Call const& call) {
    auto& d = self();
    auto const locked = d.turn();
    return d.survives() ? call(d) : d.fail_code;
  }
  static void* allocate(std::size_t bytes) {
    void* const memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (memory == nullptr) throw std::bad_alloc{};
    std::memset(memory, 0xFF, bytes);
    return memory;
  }
  template <class Handle>
  static Handle* make_handle(host_device& d) {
    return reinterpret_cast<Handle*>(++d.next_handle_ * 16);
  }
  static bool inside(std::map<void*, std::size_t> const& all, void const* memory,
                     std::size_t bytes) {
    auto const* const begin = static_cast<char const*>(memory);
    for (auto const& [start, size] : all)
      if (begin >= static_cast<char const*>(start) &&
          begin + bytes <= static_cast<char const*>(start) + size)
        return true;
    return false;
  }
  int fault(std::string text) {
    faults.push_back(std::move(text));
    return 1;
  }

  // As CUDA documents it: memory of the host that is not pinned is read before the call returns,
  // and written before it returns; pinned memory is used when the stream gets there.
  int queue_copy(void* to, void const* from, std::size_t bytes, int direction,
                 septum::cuda_handle::stream* queue) {
    bool const from_pageable = direction == 1 && !inside(host_memory_, from, bytes);
    bool const to_pageable = direction == 2 && !inside(host_memory_, to, bytes);
    if ((from_pageable || to_pageable) && streams_[queue].recording)
      return fault("a recorded copy of memory that is not pinned");
    if (from_pageable) {
      auto const* const begin = static_cast<char const*>(from);
      std::vector<char> staged(begin, begin + bytes);
      enqueue(queue, [=, data = std::move(staged)] { std::memcpy(to, data.data(), bytes); });
      return 0;
    }
    enqueue(queue, [=] { std::memcpy(to, from, bytes); });
    if (to_pageable) run_until([&] { return streams_[queue].queue.empty(); });
    return 0;
  }

  template <class F>
  void add_functor() {
    functors_[septum::kernel_entry_name<F>()] = [](host_device& d,
                                                   void** arguments) -> std::function<void()> {
      F const kernel = *static_cast<F*>(arguments[0]);
      septum::extent2 const extent{*static_cast<int*>(arguments[1]),
                                   *static_cast<int*>(arguments[2])};
      auto const seed = d.random();
      bool const eager = d.when_ == order::eager;
      if constexpr (septum::BlockKernel<F>)
        return [=] { septum::for_each_block(extent, kernel, eager ? 0 : seed); };
      else if (eager)
        return [=] { septum::for_each_index(septum::exec::serial{}, extent, kernel); };
      else
        return [=] { septum::for_each_index(septum::exec::shuffled{seed}, extent, kernel); };
    };
  }

  std::uint32_t random() {
    random_ = random_ * 1664525U + 1013904223U;
    return random_ >> 8;
  }
  void push(septum::cuda_handle::stream* handle, item next) {
    auto const found = streams_.find(handle);
    if (found == streams_.end()) {
      fault("work for an unknown stream");
      return;
    }
    if (found->second.recording) {
      if (next.what != kind::run) fault("an event in a captured stream");
      found->second.recording->work.push_back(std::move(next));
      return;
    }
    found->second.queue.push_back(std::move(next));
    if (when_ == order::eager) drain();
  }
  bool may_run(item const& next) {
    return next.what != kind::wait || reached_[next.event] >= next.count;
  }
  // Runs the head of one stream, chosen at random; false when none may run.
  bool run_one() {
    std::vector<stream*> ready;
    for (auto& [handle, each] : streams_)
      if (!each.queue.empty() && may_run(each.queue.front())) ready.push_back(&each);
    if (ready.empty()) return false;
    auto& chosen = *ready[random() % ready.size()];
    auto const next = std::move(chosen.queue.front());
    chosen.queue.pop_front();
    if (next.what == kind::run) next.run();
    if (next.what == kind::record) reached_[next.event] = next.count;
    return true;
  }
  template <class Done>
  void run_until(Done const& done) {
    while (!done())
      if (!run_one()) {
        fault("waits for work that can never run");
        return;
      }
  }
  void drain() {
    while (run_one()) {
    }
  }

  mutable std::recursive_mutex mutex_;
  order when_;
  std::uint32_t random_;
  std::uintptr_t next_handle_ = 0;
  int libraries_ = 0;
  std::size_t device_bytes_ = 0;
  std::size_t largest_device_bytes_ = 0;
  std::map<void*, std::size_t> device_memory_;
  std::map<void*, std::size_t> host_memory_;
  std::map<septum::cuda_handle::stream*, stream> streams_;
  std::map<septum::cuda_handle::event*, event> events_;
  std::map<std::uintptr_t, std::uint64_t> reached_;
  std::map<septum::cuda_handle::graph*, std::shared_ptr<tape>> graphs_;
  std::map<septum::cuda_handle::graph_executable*, std::shared_ptr<tape>> executables_;
  std::map<std::string, launcher> functors_;
};
