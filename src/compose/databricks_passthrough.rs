//! What a DatabricksPassthrough asks for. Variables, spellings and units: Timbr's documentation, "SSO
//! for Databricks Datasources (Passthrough)", steps 2 to 4.

use crate::api::{
    CheckLevel::Advisory, Code, Component, DatabricksPassthroughSpec, DatabricksPassthroughStatus, Datasource, MINUTES,
    Problem, Reason, Status, rules, seconds,
};

use super::{Case, Demand, Probe, Registration, Unresolved, Value, credentials, plan::Asked, portal};

/// The scope that stands for "as this user, on Databricks": AzureDatabricks' application id.
pub const DATABRICKS_SCOPE: &str = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d/user_impersonation";

/// Whether tokens count as fresh for less time than passes between two looks at them.
pub const fn is_looked_at_late(expiration: u64, validation: u64) -> bool {
    validation > expiration
}

/// What is wrong with the spec by itself.
pub fn problems(spec: &DatabricksPassthroughSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(rules::WORKSPACE_HOST.check("spec.workspaceHost", &spec.workspace_host));
    problems.extend(rules::DATASOURCE_NAME.check("spec.datasourceName", &spec.datasource_name));
    problems.extend(MINUTES.check("spec.refreshTokenExpiration", &spec.refresh_token_expiration));
    problems.extend(MINUTES.check("spec.refreshTokenValidation", &spec.refresh_token_validation));
    problems
}

/// What an accepted spec asks for.
pub fn ask(spec: &DatabricksPassthroughSpec, case: &Case<'_>) -> Asked {
    let minutes = |text: &str| seconds(text).unwrap_or_default() / 60;
    let (expiration, validation) = (minutes(&spec.refresh_token_expiration), minutes(&spec.refresh_token_validation));
    let mut asked = Asked::default();
    if is_looked_at_late(expiration, validation) {
        asked.problems.push(Problem::warning(
            "spec.refreshTokenValidation",
            Code::ValidationAboveExpiration,
            format!(
                "tokens are looked at every {validation} minutes, but count as fresh for {expiration} only, so queries may fail in between; make it {} or less",
                spec.refresh_token_expiration
            ),
        ));
    }
    let sign_on = case.sign_ons.iter().find(|lead| lead.ready);
    if case.sign_ons.is_empty() && !case.snapshot.complete {
        asked.not_in_input("spec", "an AzureSso");
    } else if sign_on.is_none() {
        let message = match case.sign_ons.first() {
            Some(lead) => format!(
                "AzureSso {} is not accepted, or something that it references is missing, and Databricks takes the token of single sign-on; its status says what to correct",
                lead.name
            ),
            None => "this installation has no AzureSso, and Databricks takes the token of single sign-on; create one"
                .to_owned(),
        };
        asked.unresolved.push(Unresolved { reason: Reason::AzureSsoNotReady, path: "spec".to_owned(), message });
    }
    let variables = [
        (Component::Platform, "OAUTH_OFFLINE_ACCESS_SCOPE", Value::lower_bool(true)),
        (Component::Platform, "OAUTH_SCOPES", Value::constant(DATABRICKS_SCOPE)),
        (Component::Server, "OAUTH_OFFLINE_ACCESS_SCOPE", Value::lower_bool(true)),
        (Component::Server, "OAUTH_REFRESH_TOKEN_EXPIRATION", Value::constant(&expiration.to_string())),
        (Component::Server, "OAUTH_REFRESH_TOKEN_VALIDATION", Value::constant(&validation.to_string())),
    ];
    asked.demands.extend(variables.into_iter().map(|(component, name, value)| Demand {
        component,
        name: name.into(),
        value,
    }));
    let application = sign_on.and_then(|lead| credentials::application(lead.spec?, case));
    asked.check_as(application.as_ref(), "Permissions", Advisory, |it| {
        Probe::Registration(it, Registration::Delegated(portal::PASSTHROUGH))
    });
    asked.check("Workspace", Advisory, Probe::Workspace(spec.workspace_host.clone()));
    let mut portal: Vec<_> = portal::permissions(portal::PASSTHROUGH).collect();
    if let Some(sso) = sign_on.and_then(|lead| lead.spec) {
        let authority = &case.snapshot.settings.authority_url;
        portal.push(portal::consent(authority, &sso.tenant_id, sso.client_id.as_deref()));
    }
    asked.details = Some(Status::DatabricksPassthrough(DatabricksPassthroughStatus {
        datasource: Some(datasource(spec)),
        portal,
        ..Default::default()
    }));
    asked
}

/// The form "Add New Datasource" of Timbr, filled in.
fn datasource(spec: &DatabricksPassthroughSpec) -> Datasource {
    Datasource {
        type_: "Databricks".to_owned(),
        name: spec.datasource_name.clone(),
        hostname: spec.workspace_host.clone(),
        port: 443,
        user: "token".to_owned(),
        password: "managed by single sign-on".to_owned(),
        additional_parameters: "AuthMech=11;Auth_Flow=0".to_owned(),
    }
}
