#pragma once
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "program/program.hpp"

namespace program_test {

/// Starts the program without a shell in between, so that a signal meets the program itself.
/// `arguments` are parted at spaces.
inline ::pid_t start(sandbox const& box, std::string const& arguments) {
  std::vector<std::string> words{box.program()};
  std::istringstream parted{arguments};
  for (std::string word; parted >> word;) words.push_back(word);
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  std::string const folder = box.path("").string();
  std::string const err = box.path(".err").string();
  ::pid_t const child = ::fork();
  if (child != 0) return child;
  int const nothing = ::open("/dev/null", O_RDWR);
  int const errors = ::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  for (int const stream : {0, 1}) ::dup2(nothing, stream);
  ::dup2(errors, 2);
  if (::chdir(folder.c_str()) == 0) ::execv(pointers.front(), pointers.data());
  ::_exit(127);
}

/// Exit code, or -1 after a signal.
inline int exit_code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -1; }

/// Waits for the program's end and gives its exit code, or -1 after a signal.
inline int wait_for(::pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return exit_code_of(status);
}

/// Runs the program and signals it as soon as there is a file of that name, however slow or fast
/// the machine.
inline outcome run_until(sandbox const& box, std::string const& arguments, std::string const& file,
                         int signal) {
  ::pid_t const child = start(box, arguments);
  int status = 0;
  while (!fs::exists(box.path(file))) {
    if (::waitpid(child, &status, WNOHANG) == child)
      return {exit_code_of(status), "", content(box.path(".err"))};
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  ::kill(child, signal);
  int const exit_code = wait_for(child);
  return {exit_code, "", content(box.path(".err"))};
}

}  // namespace program_test
