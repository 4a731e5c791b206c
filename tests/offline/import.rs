//! `import`, and what `validate` says of the same files: a corpus with what is expected beside each file
//! (`tests/import`), and what the flags do.
//!
//! `UPDATE_CASES=1 cargo test --test offline corpus` writes the expected files anew.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::{
    golden,
    run::{Run, deployment, folder, run, run_in, secret, stream},
};

/// The secret in every file of the corpus.
const CANARY: &str = "canary-hunter2";

/// What no variable says.
const FLAGS: &str = "--public-url https://timbr.example.com --workspace-host adb-1.2.azuredatabricks.net";

fn corpus() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import");
    let files = ["seeds", "bad"].into_iter().flat_map(|folder| fs::read_dir(root.join(folder)).unwrap());
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// The files of the corpus that are input.
fn inputs() -> Vec<PathBuf> {
    corpus().into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "yaml")).collect()
}

fn transcript(file: &Path) -> String {
    let name = file.file_name().unwrap().to_str().unwrap();
    let mut transcript = String::new();
    for command in [format!("validate -f {name}"), format!("import -f {name} {FLAGS}")] {
        let Run { code, out, err } = run_in(file.parent().unwrap().to_owned(), &command, "");
        transcript += &format!("$ timbr-identity {command}\n--- stdout\n{out}--- stderr\n{err}--- exit {code}\n");
    }
    transcript
}

#[test]
fn corpus_gives_what_is_expected() {
    let update = golden::update();
    let mut failed = Vec::new();
    for input in inputs() {
        let expected = input.with_extension("expected");
        let found = transcript(&input);
        if update {
            fs::write(&expected, &found).unwrap();
        }
        let wanted = fs::read_to_string(&expected).unwrap_or_default();
        if wanted != found {
            failed.push(format!("{}\nexpected:\n{wanted}\nfound:\n{found}", input.display()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn corpus_has_no_files_left_over() {
    for file in corpus().into_iter().filter(|file| file.extension().is_none_or(|extension| extension != "yaml")) {
        assert_eq!(file.extension().unwrap(), "expected", "{}", file.display());
        assert!(file.with_extension("yaml").exists(), "{}", file.display());
    }
    let bad = inputs().into_iter().filter(|file| file.parent().unwrap().ends_with("bad")).count();
    assert!(bad >= 30, "{bad}");
}

#[test]
fn no_secret_is_printed() {
    for input in inputs() {
        // The documentation has placeholders where a secret goes.
        let mut text = fs::read_to_string(&input).unwrap();
        for placeholder in ["<AZURE_SECRET>", "<AZURE_CLIENT_SECRET>"] {
            text = text.replace(placeholder, CANARY);
        }
        let is_bad = input.parent().unwrap().ends_with("bad");
        assert!(!is_bad || text.contains(CANARY), "{} holds no secret", input.display());
        let folder = folder("import-canary", &[("input.yaml", &text)]);
        for command in ["validate", "validate -o json", "render", "import", "import --secrets-out secrets.yaml"] {
            let flags = if command.starts_with("import") { FLAGS } else { "" };
            let run = run_in(folder.clone(), &format!("{command} -f input.yaml {flags}"), "");
            assert!(!run.out.contains(CANARY), "{command} {}: {}", input.display(), run.out);
            assert!(!run.err.contains(CANARY), "{command} {}: {}", input.display(), run.err);
        }
    }
}

/// Everything that is printed is taken by `validate`, beside the Secrets of the input.
#[test]
fn what_is_made_is_valid() {
    for input in inputs() {
        let text = fs::read_to_string(&input).unwrap();
        let made = run(&format!("import -f - {FLAGS} --show-secrets"), &text);
        let documents = text.split("---\n").filter(|document| document.contains("kind: Secret\n"));
        let all: Vec<&str> = documents.chain([made.out.as_str()]).collect();
        let run = run("validate -f -", &all.join("\n---\n"));
        assert_eq!(run.code, 0, "{}: {}\n{}", input.display(), run.out, made.out);
    }
}

/// Single sign-on as people set it up.
fn platform() -> serde_json::Value {
    deployment(
        "timbr-platform",
        &["timbr-platform"],
        json!([
            {"name": "OAUTH_PROVIDER", "value": "azure"},
            {"name": "OAUTH_CLIENT_ID", "value": "11111111-2222-3333-4444-555555555555"},
            {"name": "OAUTH_SECRET", "value": CANARY},
            {"name": "OAUTH_BASE_URL", "value": "https://login.microsoftonline.com/contoso.com/oauth2"},
            {"name": "OAUTH_AZURE_WITH_UPN_FIRST", "value": "False"},
        ]),
    )
}

const SECRET: &str = "apiVersion: v1
kind: Secret
metadata:
  name: sso-credentials
stringData:
  client-secret: canary-hunter2
type: Opaque
";

const RESOURCE: &str = "apiVersion: identity.timbr.ai/v1alpha1
kind: AzureSso
metadata:
  name: sso
spec:
  clientId: 11111111-2222-3333-4444-555555555555
  clientSecretRef:
    key: client-secret
    name: sso-credentials
  publicUrl: https://timbr.example.com
  tenantId: contoso.com
";

#[test]
fn secrets_go_where_they_are_wanted_and_nowhere_else() {
    let input = stream(&[platform()]);
    let plain = run(&format!("import -f - {FLAGS}"), &input);
    assert_eq!((plain.code, plain.out.as_str()), (0, RESOURCE), "{}", plain.err);
    assert_eq!(
        plain.err,
        "secret: sso-credentials: make it, with client-secret (from OAUTH_SECRET), or repeat with --secrets-out FILE\n"
    );
    let shown = run(&format!("import -f - {FLAGS} --show-secrets"), &input);
    assert_eq!((shown.code, shown.out, shown.err.as_str()), (0, format!("{SECRET}---\n{RESOURCE}"), ""));

    let folder = folder("import-secrets", &[("input.yaml", &input), ("open.yaml", "x"), ("target", "y")]);
    let import = |flags: &str| run_in(folder.clone(), &format!("import -f input.yaml {FLAGS} {flags}"), "");
    let written = import("--secrets-out secrets.yaml");
    assert_eq!((written.code, written.out.as_str(), written.err.as_str()), (0, RESOURCE, ""));
    let mode = |name: &str| fs::symlink_metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(fs::read_to_string(folder.join("secrets.yaml")).unwrap(), SECRET);
    assert_eq!(mode("secrets.yaml"), 0o600);

    // What is there stays, whoever made it; replaced, it is as private as a new one.
    let refused = import("--secrets-out open.yaml");
    assert_eq!((refused.code, refused.out.as_str()), (2, ""));
    assert_eq!(
        refused.err,
        "error: open.yaml: the file exists already, so nothing was written; name another, or add --force to replace it\n"
    );
    assert_eq!(fs::read_to_string(folder.join("open.yaml")).unwrap(), "x");
    assert_eq!(import("--secrets-out open.yaml --force").code, 0);
    assert_eq!((mode("open.yaml"), fs::read_to_string(folder.join("open.yaml")).unwrap().as_str()), (0o600, SECRET));
    std::os::unix::fs::symlink("target", folder.join("link.yaml")).unwrap();
    assert_eq!(import("--secrets-out link.yaml").code, 2);
    assert_eq!(import("--secrets-out link.yaml --force").code, 0);
    assert_eq!(fs::read_to_string(folder.join("target")).unwrap(), "y");
    assert_eq!(import("--secrets-out nowhere/secrets.yaml").code, 2);

    // Where there is nothing to write, nothing is written.
    fs::write(folder.join("input.yaml"), "a: 1\n").unwrap();
    assert_eq!(import("--secrets-out none.yaml").code, 0);
    assert!(!folder.join("none.yaml").exists());
}

#[test]
fn namespaces() {
    let mut named = platform();
    named["metadata"]["namespace"] = json!("timbr");
    let namespaces = |object: &serde_json::Value, flags: &str| {
        let run = run(&format!("import -f - {FLAGS} {flags} --show-secrets"), &stream(std::slice::from_ref(object)));
        let lines = run.out.lines().filter_map(|line| line.strip_prefix("  namespace: "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(namespaces(&platform(), ""), [] as [&str; 0]);
    assert_eq!(namespaces(&platform(), "-n other"), ["other", "other"]);
    assert_eq!(namespaces(&named, "-n other"), ["timbr", "timbr"]);
}

#[test]
fn wrong_usage() {
    let usage = |flags: &str| {
        let run = run(&format!("import -f - {flags}"), "");
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{flags}");
        run.err
    };
    assert!(usage("--public-url http://a").contains("must begin with https://"));
    assert!(usage("--public-url https://a/b").contains("no path"));
    assert!(usage("--workspace-host https://a").contains("must be the workspace's host and nothing more"));
    assert!(usage("--workspace-host adb").contains("must be the workspace's host and nothing more"));
    assert!(usage("--force").contains("--secrets-out"));
    assert!(usage("-f nowhere.yaml").contains("nowhere.yaml: No such file"));
    let nothing = run("import -f -", "a: 1\n");
    assert_eq!((nothing.code, nothing.out.as_str()), (0, ""));
    assert!(nothing.err.starts_with("no Deployment or Docker Compose service"), "{}", nothing.err);
}

/// Where sign-in and key vaults are comes from the flags, as for the operator.
#[test]
fn another_cloud_has_to_be_named() {
    let server = deployment(
        "timbr-server",
        &["timbr-server"],
        json!([
            {"name": "KV_VAULT_TYPE", "value": "azure"},
            {"name": "KV_VAULT_AUTH_TYPE", "value": "password"},
            {"name": "KV_VAULT", "value": "https://contoso.vault.usgovcloudapi.net/"},
            {"name": "AZURE_TENANT_ID", "value": "contoso.com"},
            {"name": "AZURE_CLIENT_ID", "value": "11111111-2222-3333-4444-555555555555"},
            {"name": "AZURE_CLIENT_SECRET", "value": CANARY},
        ]),
    );
    let input = stream(&[server]);
    let public = run("import -f -", &input);
    assert_eq!((public.code, public.out.as_str()), (3, ""));
    let why = "KV_VAULT: would be refused as spec.vaultUrl of KeyVaultBinding: the host must end in .vault.azure.net, as key vaults of the operator's cloud do: the vault receives a credential; correct the address, or set the operator's --cloud or --vault-suffix\n";
    assert!(public.err.contains(why), "{}", public.err);
    for flags in ["--cloud usgov", "--vault-suffix .vault.usgovcloudapi.net"] {
        let made = run(&format!("import -f - {flags}"), &input);
        assert_eq!(made.code, 0, "{}", made.err);
        assert!(made.out.contains("vaultUrl: https://contoso.vault.usgovcloudapi.net/\n"), "{}", made.out);
        let valid = run(&format!("validate -f - {flags}"), &made.out);
        assert_eq!(valid.code, 0, "{}", valid.out);
    }
}

/// Where Secrets need a label to be referenced, those that are made have it.
#[test]
fn secrets_that_are_made_may_be_referenced() {
    let made = run(&format!("import -f - {FLAGS} --show-secrets --require-secret-opt-in"), &stream(&[platform()]));
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.out.contains("  labels:\n    identity.timbr.ai/credential: \"true\"\n"), "{}", made.out);
    assert_eq!(run("validate -f - --require-secret-opt-in", &made.out).code, 0);
}

/// What is made is judged beside the input: what would be refused is left out, and what builds on it.
#[test]
fn what_would_be_refused_is_left_out() {
    let by_reference = |key: &str| {
        let mut platform = platform();
        platform["spec"]["template"]["spec"]["containers"][0]["env"][2] =
            json!({"name": "OAUTH_SECRET", "valueFrom": {"secretKeyRef": {"name": "entra", "key": key}}});
        platform
    };
    let entra = secret("entra", "client-secret", b"hunter2");
    let whole = run(&format!("import -f - {FLAGS}"), &stream(&[by_reference("client-secret"), entra.clone()]));
    assert_eq!(whole.code, 0, "{}", whole.err);
    // Not in the input is not known, and not in the Secret is wrong.
    assert_eq!(run(&format!("import -f - {FLAGS}"), &stream(&[by_reference("secret")])).code, 0);
    let databricks =
        deployment("timbr-server", &["timbr"], json!([{"name": "OAUTH_OFFLINE_ACCESS_SCOPE", "value": "true"}]));
    let refused = run(&format!("import -f - {FLAGS}"), &stream(&[by_reference("secret"), entra, databricks]));
    assert_eq!((refused.code, refused.out.as_str()), (3, ""));
    let lines: Vec<&str> = refused.err.lines().collect();
    assert_eq!(lines.len(), 5 + 1, "{}", refused.err);
    assert!(lines[2].ends_with("OAUTH_SECRET: would be refused as spec.clientSecretRef of AzureSso: Secret entra has no key secret; add the key to the Secret, or name another"), "{}", lines[2]);
    assert!(
        lines[5].ends_with("Databricks takes the token of single sign-on, and no AzureSso is made"),
        "{}",
        lines[5]
    );

    // A resource that is there already has the place.
    let there = run(&format!("import -f - {FLAGS}"), &stream(&[platform(), crate::bad_input::azure_sso()]));
    assert_eq!((there.code, there.out.as_str()), (3, ""), "{}", there.err);

    // An installation that cannot be told apart.
    let mut odd = platform();
    odd["metadata"]["name"] = json!("Timbr_Platform");
    let odd = run(&format!("import -f - {FLAGS}"), &stream(&[odd]));
    assert_eq!(odd.code, 3, "{}", odd.err);
    assert!(odd.err.contains("left out: spec.template.spec.containers[0].env: TimbrInstallation: cannot be made, as spec.components.platform"), "{}", odd.err);
}

/// A Secret of the input is somebody's: what is made does not replace it.
#[test]
fn a_secret_that_is_there_is_not_replaced() {
    let import = |value: &str| {
        let there = secret("sso-credentials", "client-secret", value.as_bytes());
        run(&format!("import -f - {FLAGS}"), &stream(&[platform(), there]))
    };
    assert_eq!(import(CANARY).code, 0);
    let refused = import("other");
    assert_eq!((refused.code, refused.out.as_str()), (3, ""));
    let why = "AzureSso cannot be made, as Secret sso-credentials, which would have to be made, is in the input and holds something else; rename that one\n";
    assert!(refused.err.contains(why), "{}", refused.err);
}
