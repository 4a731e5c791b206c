//! What `portal` prints, and what a shell makes of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    bad_input::azure_sso,
    golden,
    run::{Run, folder, run, stream},
};

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn of_example(name: &str, flags: &str) -> Run {
    run(&format!("portal -n timbr -f {} {flags}", root("examples").join(name).display()), "")
}

/// The names of the examples.
fn examples() -> Vec<String> {
    let entries = fs::read_dir(root("examples")).expect("examples");
    entries.map(|entry| entry.expect("a folder").file_name().into_string().expect("a name")).collect()
}

/// `tests/offline/portal` holds what is printed for each example, and for one in another cloud; for the
/// others there is nothing to set.
#[test]
fn each_example_comes_out_as_it_is_written() {
    let update = golden::update();
    let mut written = Vec::new();
    let in_public = examples().into_iter().map(|name| (name.clone(), "", name));
    let elsewhere = ("single-sign-on".to_owned(), "--cloud usgov", "single-sign-on-usgov".to_owned());
    for (name, flags, file) in in_public.chain([elsewhere]) {
        let printed = of_example(&name, flags);
        assert_eq!((printed.code, printed.err.as_str()), (0, ""), "{file}");
        let expected = root("tests/offline/portal").join(format!("{file}.sh"));
        if update && !printed.out.is_empty() {
            fs::write(&expected, &printed.out).expect("the file can be written");
        }
        assert_eq!(printed.out, fs::read_to_string(&expected).unwrap_or_default(), "{file}");
        written.extend((!printed.out.is_empty()).then(|| format!("{file}.sh")));
    }
    written.sort();
    let files = fs::read_dir(root("tests/offline/portal")).expect("the folder");
    let mut files: Vec<String> =
        files.map(|file| file.expect("a file").file_name().into_string().expect("a name")).collect();
    files.sort();
    assert_eq!(files, written, "one file for each example with something to set");
}

/// The calls that a script makes: each is the program and its arguments. Programs there are none but
/// `az` and `kubectl`, which only note how they are called.
fn calls(test: &str, script: &str) -> Vec<Vec<String>> {
    const NOTE: &str = "#!/bin/sh\n{ printf '%s\\000' \"${0##*/}\" \"$@\"; printf '\\036'; } >>\"$CALLS\"\n";
    let bin = folder(&format!("portal-{test}"), &[("az", NOTE), ("kubectl", NOTE), ("script", script), ("calls", "")]);
    for program in ["az", "kubectl"] {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    // The programs of the test come first, and of the system only the shell is there.
    let shell = Command::new("sh").args(["-c", "command -v sh"]).output().expect("a shell").stdout;
    let shell = String::from_utf8(shell).expect("a path").trim().to_owned();
    Command::new(shell)
        .arg(bin.join("script"))
        .env_clear()
        .env("PATH", &bin)
        .env("CALLS", bin.join("calls"))
        .current_dir(&bin)
        .output()
        .expect("a shell");
    let text = fs::read(bin.join("calls")).expect("the calls");
    let words = |call: &[u8]| {
        let text = String::from_utf8(call.to_vec()).expect("UTF-8");
        text.split_terminator('\0').map(str::to_owned).collect()
    };
    text.split(|byte| *byte == 0x1e).filter(|call| !call.is_empty()).map(words).collect()
}

#[test]
fn a_shell_takes_every_script_and_runs_only_az() {
    for name in examples() {
        let printed = of_example(&name, "");
        let checked = Command::new("sh").args(["-n", "-c", &printed.out]).status().expect("a shell");
        assert!(checked.success(), "{name}: {}", printed.out);
        for call in calls(&format!("example-{name}"), &printed.out) {
            assert_eq!(call[0], "az", "{name}: {call:?}");
        }
    }
    let calls = calls("everything", &of_example("everything", "").out);
    let id = "66666666-7777-8888-9999-000000000000";
    assert_eq!(
        calls[0],
        [
            "az",
            "ad",
            "app",
            "update",
            "--id",
            id,
            "--sign-in-audience",
            "AzureADMyOrg",
            "--web-redirect-uris",
            "https://timbr.example.com/oauth-authorized/azure"
        ]
    );
    let added = calls.iter().filter(|call| call[1..5] == ["ad", "app", "permission", "add"]);
    let permissions: usize = added.map(|call| call.iter().filter(|word| word.contains('=')).count()).sum();
    assert_eq!(permissions, 4 + 2 + 3);
    assert!(calls.iter().all(|call| call.iter().any(|word| word == id)), "all of it is about one app registration");
    let vault = calls.iter().find(|call| call[1] == "keyvault").expect("the vault");
    assert_eq!(vault[vault.len() - 5..], ["--secret-permissions", "get", "list", "set", "delete"]);
}

#[test]
fn a_client_id_in_a_secret_is_asked_for_and_none_is_carried_over() {
    let example = of_example("installation", "");
    assert!(example.out.contains("adminconsent?client_id=CLIENT-ID\n"), "{}", example.out);
    assert!(example.out.contains("It is in Secret analytics-entra, key client-id, and is not told.\nCLIENT_ID=''\n"));
    assert!(!example.out.contains("66666666"), "{}", example.out);
    assert_eq!(calls("asked-for", &example.out), [] as [Vec<String>; 0]);

    // The vault's own is not that of the single sign-on before it.
    let vault = json!({
        "apiVersion": "identity.timbr.ai/v1alpha1", "kind": "KeyVaultBinding", "metadata": {"name": "vault"},
        "spec": {
            "vaultUrl": "https://contoso.vault.azure.net/", "tenantId": "contoso.onmicrosoft.com",
            "clientIdRef": {"name": "vault", "key": "id"}, "clientSecretRef": {"name": "vault", "key": "secret"},
        },
    });
    let both = run("portal -f -", &stream(&[azure_sso(), vault]));
    let calls = calls("not-carried-over", &both.out);
    assert!(!calls.is_empty() && calls.iter().all(|call| call[1] == "ad"), "{calls:?}");
}

#[test]
fn without_its_azure_sso_the_app_registration_is_asked_for() {
    let databricks = json!({
        "apiVersion": "identity.timbr.ai/v1alpha1", "kind": "DatabricksPassthrough", "metadata": {"name": "dbx"},
        "spec": {"workspaceHost": "adb-1.azuredatabricks.net"},
    });
    let printed = run("portal -f -", &stream(&[databricks]));
    assert_eq!((printed.code, printed.err.as_str()), (0, ""));
    assert!(
        printed.out.contains("It is that of the AzureSso, which is not in the input or not right.\nCLIENT_ID=''\n")
    );
}

/// What is not listed is taken off an app registration: of those that share one each command lists all.
#[test]
fn redirect_uris_of_one_app_registration_stay_together() {
    let mut other = azure_sso();
    other["metadata"]["namespace"] = json!("other");
    other["spec"]["publicUrl"] = json!("https://other.example.com");
    other["spec"]["clientId"] = json!(azure_sso()["spec"]["clientId"].as_str().expect("an id").to_uppercase());
    let mut third = other.clone();
    third["metadata"]["namespace"] = json!("third");
    third["spec"]["publicUrl"] = json!("https://third.example.com");
    third["spec"]["clientId"] = json!("99999999-2222-3333-4444-555555555555");
    let printed = run("portal -f -", &stream(&[azure_sso(), other, third]));
    let calls = calls("redirect-uris", &printed.out);
    let uris: Vec<&[String]> = calls.iter().filter(|call| call[3] == "update").map(|call| call.split_at(9).1).collect();
    let both = ["https://other.example.com/oauth-authorized/azure", "https://timbr.example.com/oauth-authorized/azure"];
    assert_eq!(uris, [&both.map(str::to_owned)[..], &both.map(str::to_owned), &[both[0].replace("other", "third")]]);
}

#[test]
fn another_cloud_is_chosen_first() {
    let first_lines = |flags: &str| {
        let printed = run(&format!("portal -f - {flags}"), &stream(&[azure_sso()]));
        printed.out.lines().take(3).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(first_lines("")[0], "# AzureSso default/sso");
    assert_eq!(
        first_lines("--cloud china"),
        [
            "# These app registrations are in AzureChinaCloud: choose it first:",
            "#   az cloud set --name AzureChinaCloud",
            "#   az login --tenant 'contoso.onmicrosoft.com'",
        ]
    );
    assert_eq!(
        first_lines("--authority-url https://login.example.com")[..2],
        [
            "# People sign in at https://login.example.com: choose the cloud that this is in first (`az cloud list`):",
            "#   az cloud set --name CLOUD",
        ]
    );
    assert_eq!(run("portal -f - --cloud usgov", "a: 1\n").out, "");
}

#[test]
fn the_list_is_that_of_the_status() {
    let list: Value = serde_json::from_str(&of_example("key-vault", "-o json").out).expect("JSON");
    assert_eq!(
        list,
        json!([{
            "kind": "KeyVaultBinding", "namespace": "timbr", "name": "vault",
            "portal": [
                {"what": "Access policy of contoso-timbr.vault.azure.net: secret permissions", "value": "Get, List, Set, Delete", "kind": "Setting"},
                {"what": "or, with Azure RBAC, role assignment on contoso-timbr.vault.azure.net", "value": "Key Vault Secrets Officer", "kind": "Setting"},
            ],
        }])
    );
    let list: Value = serde_json::from_str(&of_example("databricks", "-o json").out).expect("JSON");
    assert_eq!(list[1]["datasource"]["hostname"], "adb-123456789.azuredatabricks.net");
    assert_eq!(of_example("jwt", "-o json").out, "[]\n");
}

#[test]
fn an_error_is_told_and_the_rest_is_printed() {
    let mut other = azure_sso();
    other["metadata"]["namespace"] = json!("other");
    other["spec"]["publicUrl"] = json!("http://x");
    let printed = run("portal -f -", &stream(&[azure_sso(), other]));
    assert_eq!(printed.code, 1);
    assert!(printed.err.starts_with("-:2: error: spec.publicUrl: "), "{}", printed.err);
    assert_eq!(printed.out, run("portal -f -", &stream(&[azure_sso()])).out);
    assert_eq!(run("portal -f nowhere", "").code, 2);
}
