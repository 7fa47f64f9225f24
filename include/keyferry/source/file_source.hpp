// Files as a source: reads them in order into the Intake, as one snapshot with a stream behind it,
// the way psync does with a server. The stream's offset counts the bytes of commands over all
// files, so a link can go on where it was. It does not look into the bytes. Pipeline thread only;
// files are read in the pool.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "keyferry/source/file_check.hpp"
#include "keyferry/source/file_set.hpp"
#include "keyferry/source/intake.hpp"
#include "keyferry/source/psync.hpp"

namespace keyferry {

class FileSource {
 public:
  FileSource(const asio::any_io_executor& executor, const EndOptions& options, SlabBudget& budget,
             Intake& intake, PsyncState& state);

  // Looks at the files. Errors: Errc::corrupt, naming the file.
  Error open();
  // Reads all of them once, so that damage is known before the target is touched.
  Task<Error> check(FileCheckRules rules);
  const FileSet& files() const { return files_; }

  // Until stop(): reads everything, then waits to be asked for it again. Closes the intake.
  Task<Error> run();
  void stop();
  // Ends reading, but not run().
  void stop_reading() { reading_ = false; }
  // As of Psync: the next thing in the Intake is the stream behind `position`, or a snapshot.
  void go_on_at(const ReplicationPosition& position);
  void resync();

  // Where in the files a stream offset lies: "a.incr.aof at byte 17".
  std::string place_of(Offset offset) const;
  std::uint64_t file_bytes_read() const;

 private:
  Task<Error> read_all();
  Task<Error> read_file(std::size_t index);
  Task<Error> begin(bool has_snapshot);
  Task<Result<FileReader::Piece>> read_piece(char* out, std::size_t size);
  Task<Error> find_start(std::size_t& index);

  asio::any_io_executor executor_;
  const EndOptions& options_;
  SlabBudget& budget_;
  Intake& intake_;
  PsyncState& state_;
  Signal halt_;
  FileSet files_;
  std::shared_ptr<FileReader> reader_;  // shared with work in the pool
  std::uint64_t finished_bytes_ = 0;    // on disk, of files before the one being read
  // Where each file that has been begun starts in the bytes of this round; negative for one that
  // was gone into at once.
  std::vector<std::int64_t> starts_;
  std::optional<ReplicationPosition> resume_;
  bool has_begun_ = false;  // this round has been announced to the Intake
  bool again_ = false;
  bool reading_ = true;
  bool stopping_ = false;
  std::shared_ptr<std::atomic<bool>> stops_check_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace keyferry
