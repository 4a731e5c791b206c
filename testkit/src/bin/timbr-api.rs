//! The double of Timbr's REST API as a program, for clients in other languages and for people.
//!
//! ```console
//! $ timbr-api --role admins --fault 2:lose --fault html    # --help lists all
//! {"key":"tk_…","url":"http://127.0.0.1:…"}
//! ```
//!
//! It runs until its input ends, and then prints what it has received as one line of JSON.

use std::io;
use std::process::ExitCode;

use serde_json::json;
use timbr_identity_testkit::TimbrApi;

const USAGE: &str = "timbr-api [FLAG VALUE]...
  --role NAME          a role there is
  --ontology NAME      an ontology there is, beside system_db
  --answer SQL=>ROWS   answers this statement with these rows, JSON
  --jwt TOKEN[@TENANT] takes this JWT, too
  --may-edit BOOL      whether the user may edit roles, true unless given
  --fault [N:]FAULT    the fault of the n-th request, or of all others:
                       refuse=STATUS,TEXT later=STATUS,SECONDS,TEXT redirect=URL reject-credential html
                       garbage truncate huge lose close hang delay=MILLISECONDS";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut api = TimbrApi::start();
    let mut roles = Vec::new();
    while let Some(flag) = args.next() {
        if flag == "--help" {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        let value = args.next().ok_or_else(|| "needs a value".to_owned());
        api = match value.and_then(|value| set(api, &mut roles, &flag, value)) {
            Ok(api) => api,
            Err(error) => {
                eprintln!("timbr-api: {flag}: {error}\n\n{USAGE}");
                return ExitCode::from(2);
            }
        };
    }
    api.set_roles(roles);
    println!("{}", json!({"url": api.url(), "key": api.key()}));
    // What comes is of no interest, only its end.
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    let (received, violations, mappings) = (api.received(), api.violations(), api.mappings());
    println!("{}", json!({"received": received, "violations": violations, "mappings": mappings}));
    ExitCode::SUCCESS
}

fn set(api: TimbrApi, roles: &mut Vec<String>, flag: &str, value: String) -> Result<TimbrApi, String> {
    match flag {
        "--role" => roles.push(value),
        "--ontology" => return Ok(api.with_ontology(value)),
        "--answer" => {
            let (sql, rows) = value.split_once("=>").ok_or("no => between statement and rows")?;
            return Ok(api.with_answer(sql, rows.parse().map_err(|error| format!("rows: {error}"))?));
        }
        "--jwt" => {
            let (token, tenant) = value.split_once('@').map_or((&*value, None), |(token, of)| (token, Some(of)));
            return Ok(api.with_jwt(token, tenant));
        }
        "--may-edit" => api.set_may_edit(value.parse().map_err(|_| "neither true nor false")?),
        "--fault" => match value.split_once(':').and_then(|(nth, fault)| Some((nth.parse().ok()?, fault))) {
            Some((nth, fault)) => api.fail(nth, fault.parse()?),
            None => api.always(value.parse()?),
        },
        _ => return Err("there is no such flag".to_owned()),
    }
    Ok(api)
}
