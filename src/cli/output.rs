//! Standard output and exit codes.

use std::{
    fmt::Display,
    io::{ErrorKind, Write as _},
    process::ExitCode,
};

/// Exit code for unreadable input and wrong usage, and for what nobody knows.
pub const UNREADABLE: u8 = 2;

/// What a command prints, and its exit code where the input is without Errors.
pub struct Printed {
    /// The text.
    pub text: String,
    /// The code.
    pub code: u8,
}

/// Prints a result; a reader that closes the pipe early (`| head`) is no error.
pub fn print(text: &str) -> ExitCode {
    print_with(text, ExitCode::SUCCESS)
}

/// Prints a result that has an exit code of its own.
pub fn print_with(text: &str, code: ExitCode) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => fail(&error),
        _ => code,
    }
}

/// Says why nothing could be done.
pub fn fail(error: &dyn Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(UNREADABLE)
}
