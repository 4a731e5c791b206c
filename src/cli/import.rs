//! `timbr-identity import`.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args as ClapArgs;

use crate::{
    api::rules,
    offline::{Import, ImportOptions, SecretManifest, import, read},
    yaml,
};

use super::{output, settings::SettingsArgs};

/// Exit code for an input of which not everything could be expressed.
const INCOMPLETE: u8 = 3;

/// Flags of import.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Deployments or a Docker Compose file: a file, a folder (with all below it: .yaml, .yml, .json), or
    /// - for standard input; may be repeated.
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Namespace of documents that name none, and of what is made from them.
    #[arg(short = 'n', long)]
    namespace: Option<String>,
    /// The address under which people open Timbr, which an AzureSso needs.
    #[arg(long, value_name = "URL", value_parser = public_url)]
    public_url: Option<String>,
    /// The host of the Databricks workspace, which a DatabricksPassthrough needs.
    #[arg(long, value_name = "HOST", value_parser = host)]
    workspace_host: Option<String>,
    /// Write the Secrets that have to be made to a new file that only its owner may read.
    #[arg(long, value_name = "FILE")]
    secrets_out: Option<PathBuf>,
    /// Replace the file of --secrets-out if it is there.
    #[arg(long, requires = "secrets_out")]
    force: bool,
    /// Print the Secrets that have to be made, in clear, before the resources.
    #[arg(long)]
    show_secrets: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

fn public_url(url: &str) -> Result<String, &'static str> {
    let rules = [&rules::PUBLIC_URL_HTTPS, &rules::PUBLIC_URL_HOST_ONLY];
    rules.into_iter().find(|rule| !rule.holds(url)).map_or(Ok(url.to_owned()), |rule| Err(rule.message))
}

fn host(host: &str) -> Result<String, &'static str> {
    let rule = &rules::WORKSPACE_HOST;
    if rule.holds(host) { Ok(host.to_owned()) } else { Err(rule.message) }
}

/// Why what was made cannot be handed over.
#[derive(Debug, thiserror::Error)]
enum OutputError {
    #[error("{0}")]
    Yaml(#[from] yaml::WriteError),
    #[error("{file}: the file exists already, so nothing was written; name another, or add --force to replace it")]
    Exists { file: String },
    #[error("{file}: {source}")]
    File { file: String, source: io::Error },
}

/// Prints resources for what was set by hand; what became of each variable goes to standard error.
pub fn run(args: &Args) -> ExitCode {
    let settings = match args.settings.settings() {
        Ok(settings) => settings,
        Err(error) => return output::fail(&error),
    };
    let documents = match read(&args.files) {
        Ok(documents) => documents,
        Err(error) => return output::fail(&error),
    };
    let import = import(
        &documents,
        &ImportOptions {
            namespace: args.namespace.as_deref(),
            public_url: args.public_url.as_deref(),
            workspace_host: args.workspace_host.as_deref(),
            settings: &settings,
        },
    );
    match hand_over(args, &import) {
        Ok(text) => {
            tell(args, &import);
            let code = if import.is_whole() { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) };
            output::print_with(&text, code)
        }
        Err(error) => output::fail(&error),
    }
}

/// Writes the Secrets where they are wanted; what remains for standard output.
fn hand_over(args: &Args, import: &Import) -> Result<String, OutputError> {
    let secrets: Vec<_> = import.secrets.iter().map(SecretManifest::manifest).collect();
    if let Some(file) = &args.secrets_out
        && !secrets.is_empty()
    {
        write_private(file, &yaml::write_stream(&secrets)?, args.force)?;
    }
    let shown = if args.show_secrets { secrets } else { vec![] };
    let all: Vec<_> = shown.iter().chain(&import.resources).collect();
    Ok(yaml::write_stream(&all)?)
}

/// Writes a new file that only its owner may read.
fn write_private(path: &Path, text: &str, replace: bool) -> Result<(), OutputError> {
    let failed = |source: io::Error| {
        let file = path.display().to_string();
        match source.kind() {
            io::ErrorKind::AlreadyExists => OutputError::Exists { file },
            _ => OutputError::File { file, source },
        }
    };
    if replace {
        // Not written over: it may be open to others, or a link to somewhere else.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

fn tell(args: &Args, import: &Import) {
    for line in &import.lines {
        eprintln!("{line}");
    }
    if import.resources.is_empty() && import.lines.is_empty() {
        eprintln!(
            "no Deployment or Docker Compose service in the input sets a variable of Timbr's identity integrations that nobody else has"
        );
    }
    if args.secrets_out.is_some() || args.show_secrets {
        return;
    }
    for secret in &import.secrets {
        let keys: Vec<String> = secret.keys().map(|(key, variable)| format!("{key} (from {variable})")).collect();
        let place = secret.namespace.as_ref().map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
        eprintln!(
            "secret: {}{place}: make it, with {}, or repeat with --secrets-out FILE",
            secret.name,
            keys.join(" and ")
        );
    }
}
