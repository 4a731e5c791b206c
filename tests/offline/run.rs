//! Runs the binary, and makes what it reads.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// What a run left.
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs `timbr-identity` with `arguments` (separated by spaces) and standard input.
pub fn run(arguments: &str, stdin: &str) -> Run {
    run_in(PathBuf::from("."), arguments, stdin)
}

/// As [`run`], in a folder.
pub fn run_in(folder: PathBuf, arguments: &str, stdin: &str) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_timbr-identity"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TIMBR_IDENTITY_")) {
        command.env_remove(name);
    }
    command.args(arguments.split_whitespace()).current_dir(folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Wrong usage ends before anything is read.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// `validate` on objects: the lines it prints.
pub fn validate(objects: &[Value]) -> Vec<String> {
    let run = run("validate -f -", &stream(objects));
    let lines: Vec<String> = run.out.lines().map(str::to_owned).collect();
    assert_eq!(run.code, i32::from(lines.iter().any(|line| line.contains(": error: "))), "{}{}", run.out, run.err);
    lines
}

/// Objects as one stream; JSON is YAML.
pub fn stream(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("---\n{}\n", in_ascii(&object.to_string()))).collect()
}

/// Some characters cannot stand in YAML as they are.
fn in_ascii(json: &str) -> String {
    let escape = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
    json.chars().map(|c| if (' '..='~').contains(&c) { c.to_string() } else { escape(c) }).collect()
}

/// A folder with these files.
pub fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("offline-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    for (file, text) in files {
        let file = folder.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    folder
}

/// A Secret with one value.
pub fn secret(name: &str, key: &str, value: &[u8]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque",
        "data": {key: BASE64_STANDARD.encode(value)},
    })
}

/// The Secret that the AzureSso of [`crate::bad_input`] names.
pub fn entra() -> Value {
    secret("entra", "client-secret", b"hunter2")
}

/// A Deployment; `env` is that of its first container.
pub fn deployment(name: &str, containers: &[&str], env: Value) -> Value {
    let mut containers: Vec<Value> = containers.iter().map(|name| json!({"name": name, "image": "i:1"})).collect();
    containers[0]["env"] = env;
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}},
        },
    })
}

/// timbr-platform without variables.
pub fn platform() -> Value {
    deployment("timbr-platform", &["timbr-platform"], json!([{"name": "OAUTH_DEFAULT_SCHEME", "value": "https"}]))
}
