//! The double of Entra, Graph, a Key Vault and a Databricks workspace as a program, for clients in other
//! languages and for people.
//!
//! ```console
//! $ azure --role Group.Read.All --group Admins --fault graph:2:lose    # --help lists all
//! {"ca":"-----BEGIN CERTIFICATE-----…","client_id":"…","entra":"https://127.0.0.1:…",…}
//! ```
//!
//! It runs until its input ends, and then prints what it has received as one line of JSON.

use std::io;
use std::process::ExitCode;

use serde_json::json;
use timbr_identity_testkit::Azure;
use timbr_identity_testkit::azure::{App, Grant, Group, Secret, Service, VaultSecret};

const USAGE: &str = "azure [FLAG VALUE]...
  --secret VALUE             a secret of the application, beside the one that is printed
  --expired-secret VALUE     one that has expired
  --refused-secret VALUE     one that is not yet known everywhere
  --role NAME                an application permission of Graph that is granted to it
  --redirect-uri URI         a redirect URI of it
  --grant SCOPES             delegated permissions that an administrator has consented to
  --group NAME[=MAIL]        a group
  --vault NAME=VALUE         a secret of the vault
  --vault-expired NAME=VALUE one that has expired
  --vault-disabled NAME      one that is disabled
  --deny OPERATION=CODE      denies list, get, set, delete or purge: AccessDenied, ForbiddenByRbac,
                             ForbiddenByPolicy, ForbiddenByFirewall, ForbiddenByConnection
  --databricks ID=SECRET     a client of the workspace
  --hide-keys BOOL           whether no usable key is published
  --fault SERVICE:[N:]FAULT  the fault of the n-th request to entra, graph, vault or databricks, or of all
                             others: refuse=STATUS,TEXT later=STATUS,SECONDS,TEXT redirect=URL html garbage
                             truncate huge lose close hang delay=MILLISECONDS";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let azure = Azure::start();
    let mut app = azure.register("timbr");
    while let Some(flag) = args.next() {
        if flag == "--help" {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        let value = args.next().ok_or_else(|| "needs a value".to_owned());
        if let Err(error) = value.and_then(|value| set(&azure, &mut app, &flag, &value)) {
            eprintln!("azure: {flag}: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    }
    let secret = &app.secrets[0];
    let mut ready = json!({
        "ca": azure.ca_pem(), "tenant": azure.tenant(), "client_id": app.client_id, "object_id": app.object_id,
        "principal_id": app.principal_id, "secret": secret.value, "secret_id": secret.key_id,
    });
    for (name, service) in
        ["entra", "graph", "vault", "databricks"].into_iter().filter_map(|name| Some((name, name.parse().ok()?)))
    {
        ready[name] = azure.url(service).into();
    }
    azure.set_app(app);
    println!("{ready}");
    // What comes is of no interest, only its end.
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    println!("{}", json!({"received": azure.received(), "violations": azure.violations()}));
    ExitCode::SUCCESS
}

fn set(azure: &Azure, app: &mut App, flag: &str, value: &str) -> Result<(), String> {
    let pair = || value.split_once('=').ok_or("no = in it");
    match flag {
        "--secret" => app.secrets.push(Secret::of(value)),
        "--expired-secret" => app.secrets.push(Secret::of(value).expired()),
        "--refused-secret" => app.secrets.push(Secret::of(value).refused()),
        "--role" => app.grant([value]),
        "--redirect-uri" => app.redirect_uris.push(value.to_owned()),
        "--grant" => app.grants.push(Grant::for_all(value)),
        "--group" => {
            let (name, mail) = value.split_once('=').map_or((value, None), |(name, mail)| (name, Some(mail)));
            azure.set_group(Group { mail: mail.map(str::to_owned), ..Group::new(azure.tenant(), name) });
        }
        "--vault" | "--vault-expired" => {
            let (name, value) = pair()?;
            let secret = VaultSecret::new(value);
            let secret = if flag == "--vault" { secret } else { secret.expired() };
            azure.edit_vault(|vault| vault.set(name, secret));
        }
        "--vault-disabled" => azure.edit_vault(|vault| vault.set(value, VaultSecret::new("hidden").disabled())),
        "--deny" => {
            let (operation, denial) = pair()?;
            let (operation, denial) = (operation.parse()?, denial.parse()?);
            azure.edit_vault(|vault| vault.deny(operation, denial));
        }
        "--databricks" => {
            let (id, secret) = pair()?;
            azure.set_databricks_client(id, secret);
        }
        "--hide-keys" => azure.hide_keys(value.parse().map_err(|_| "neither true nor false")?),
        "--fault" => {
            let (service, fault) = value.split_once(':').ok_or("no service before a colon")?;
            let service: Service = service.parse()?;
            match fault.split_once(':').and_then(|(nth, fault)| Some((nth.parse().ok()?, fault))) {
                Some((nth, fault)) => azure.fail(service, nth, fault.parse()?),
                None => azure.always(service, fault.parse()?),
            }
        }
        _ => return Err("there is no such flag".to_owned()),
    }
    Ok(())
}
