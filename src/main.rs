//! The binary: see `timbr-identity --help`.
#![forbid(unsafe_code)]

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    timbr_identity::cli::Cli::parse().run()
}
