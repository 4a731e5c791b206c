//! Databricks with each user's own rights: a DatabricksPassthrough.

use serde_json::{Map, Value as Json};

use crate::{
    api::{Component, MINUTES},
    compose::DATABRICKS_SCOPE,
    offline::by_hand::Section,
};

use super::{
    Options,
    draft::{Asked, Draft, Refusal, is_begun},
    duration,
    ledger::Ledger,
    sign_on,
    timbr::Timbr,
};

const NAME: &str = "databricks";

const SECTION: &[Section] = &[Section::Databricks];

/// The DatabricksPassthrough, if it is set up.
pub fn make(timbr: &Timbr<'_>, options: &Options<'_>, ledger: &mut Ledger) -> Vec<Json> {
    if !is_begun(timbr, SECTION) {
        return vec![];
    }
    let mut draft = Draft::new(timbr, "DatabricksPassthrough");
    let has_sign_on = timbr.has_sign_on || sign_on::is_made(ledger);
    let spec = match has_sign_on {
        true => spec(&mut draft, options),
        false => Err("Databricks takes the token of single sign-on, and no AzureSso is made".into()),
    };
    draft.finish(NAME, spec, &timbr.of_sections(SECTION), ledger).into_iter().collect()
}

fn spec(draft: &mut Draft<'_, '_>, options: &Options<'_>) -> Result<Map<String, Json>, Refusal> {
    for component in [Component::Platform, Component::Server] {
        let switch = (component, "OAUTH_OFFLINE_ACCESS_SCOPE");
        if draft.always(switch, "true")? != "true" {
            return Err(draft.refuse(switch, "is off, and DatabricksPassthrough would switch it on"));
        }
    }
    let scopes = (Component::Platform, "OAUTH_SCOPES");
    if draft.always(scopes, DATABRICKS_SCOPE)? != DATABRICKS_SCOPE {
        return Err(draft.refuse(scopes, format!("DatabricksPassthrough writes {DATABRICKS_SCOPE} and nothing else")));
    }
    let mut spec = Map::new();
    let times = [
        ("refreshTokenExpiration", "OAUTH_REFRESH_TOKEN_EXPIRATION", "10"),
        ("refreshTokenValidation", "OAUTH_REFRESH_TOKEN_VALIDATION", "1"),
    ];
    for (field, name, default) in times {
        spec.insert(field.to_owned(), minutes(draft, (Component::Server, name), default)?.into());
    }
    let host = options
        .workspace_host
        .ok_or("it needs the host of the workspace, which is in no variable; repeat with --workspace-host HOST")?;
    spec.insert("workspaceHost".to_owned(), host.into());
    Ok(spec)
}

/// A duration in minutes; whether it is within bounds is for those to say who judge the resource.
fn minutes(draft: &mut Draft<'_, '_>, asked: Asked<'_>, default: &str) -> Result<String, Refusal> {
    let minutes = draft.always(asked, default)?;
    duration::of(&minutes, MINUTES.unit).ok_or_else(|| draft.refuse(asked, "counts more minutes than can be expressed"))
}
