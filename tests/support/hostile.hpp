#pragma once
#include <septum/core/error.hpp>
#include <septum/io/file.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

/// What hostile-input tests need: folders of their own, damaged copies of files, failing calls.
namespace test {

/// A new folder below the system's folder for temporary files, removed at the end.
class temporary_folder {
 public:
  temporary_folder() {
    static std::atomic<int> counter{0};
    path_ = std::filesystem::temp_directory_path() /
            ("septum_test_" + std::to_string(::getpid()) + "_" + std::to_string(counter++));
    std::filesystem::create_directories(path_);
  }
  temporary_folder(temporary_folder const&) = delete;
  temporary_folder& operator=(temporary_folder const&) = delete;
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::filesystem::path operator/(std::filesystem::path const& name) const {
    return path_ / name;
  }
  [[nodiscard]] std::filesystem::path const& path() const { return path_; }
  /// Names of everything in the folder, in order.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (auto const& entry : std::filesystem::directory_iterator{path_})
      result.push_back(entry.path().filename().string());
    std::sort(result.begin(), result.end());
    return result;
  }

 private:
  std::filesystem::path path_;
};

inline std::string slurp(std::filesystem::path const& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

/// Writes without any of septum's care.
inline void spill(std::filesystem::path const& path, std::string_view bytes) {
  std::ofstream file{path, std::ios::binary | std::ios::trunc};
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline septum::io::file_content content_of(std::string_view bytes) {
  auto data = std::make_unique<std::byte[]>(bytes.size());
  std::memcpy(data.get(), bytes.data(), bytes.size());
  return {std::move(data), bytes.size()};
}

/// Calls `use(damaged, position, cut)` with the bytes cut at every length, and with every byte set
/// to 0, to 255, and with its lowest and highest bit flipped.
template <class Use>
void for_each_damage(std::string const& bytes, Use const& use) {
  for (std::size_t length = 0; length < bytes.size(); ++length)
    use(bytes.substr(0, length), length, true);
  for (std::size_t position = 0; position < bytes.size(); ++position) {
    auto const original = static_cast<unsigned char>(bytes[position]);
    for (unsigned const value : {0x00U, 0xFFU, original ^ 0x01U, original ^ 0x80U}) {
      if (value == original) continue;
      std::string damaged = bytes;
      damaged[position] = static_cast<char>(value);
      use(damaged, position, false);
    }
  }
}

/// Whether `text` contains `part`; shows both when it does not.
inline bool contains(std::string const& text, std::string const& part) {
  if (text.find(part) != std::string::npos) return true;
  BOOST_TEST_MESSAGE("expected '" << part << "' in '" << text << "'");
  return false;
}

/// What the error that `action` ends with says; nothing when it ends well.
template <class Action>
std::string message_of(Action const& action) {
  try {
    action();
  } catch (septum::error const& failure) {
    return failure.message();
  }
  return {};
}

/// True when a message is one line that starts with an identifier and names the file.
inline bool names_file(septum::error const& failure, std::string const& name) {
  std::string_view const text = failure.what();
  return text.starts_with("[septum.") && text.find(name) != std::string_view::npos &&
         text.find('\n') == std::string_view::npos;
}

/// Makes the first, second, ... of septum's system calls fail with `code` until `action` meets no
/// fault any more, and calls `check(succeeded)` after each. Returns how many calls were made to
/// fail.
template <class Action, class Check>
int fail_each_call(int code, Action const& action, Check const& check) {
  for (int n = 1;; ++n) {
    int calls = 0;
    bool succeeded = false;
    {
      septum::io::observe_system_calls const observer{
          [&](septum::io::system_call, std::filesystem::path const&) {
            return septum::io::call_verdict{.error = ++calls == n ? code : 0};
          }};
      try {
        action();
        succeeded = true;
      } catch (septum::io_error const& failure) {
        BOOST_TEST(failure.what() != nullptr);
      }
    }
    check(succeeded);
    if (calls < n) return n - 1;
  }
}

/// Process number of a process that is gone.
inline ::pid_t dead_process() {
  ::pid_t const child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  return child;
}

/// Runs `action` in a child process and returns its exit status.
template <class Action>
int in_child(Action const& action) {
  ::pid_t const child = ::fork();
  if (child == 0) ::_exit(action());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace test
