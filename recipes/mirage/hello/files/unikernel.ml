open Lwt.Syntax

let start () =
  Logs.info (fun line -> line "hello from a unikernel");
  let* () = Mirage_sleep.ns (Duration.of_ms 100) in
  Logs.info (fun line -> line "and good-bye");
  Lwt.return_unit
