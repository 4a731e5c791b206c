//! What `portal` prints: what a person sets in Azure's portal for each resource, as comments, and the
//! same as `az` commands. The whole is a POSIX shell script, and nothing in a resource can make it run
//! anything else.

mod cloud;
mod commands;
mod shell;

use serde::Serialize;

use crate::{
    api::{Datasource, PortalEntry, Spec, Status},
    compose::Judgement,
};

use super::{Installation, Judged};
use shell::comment;

/// What there is to set for one resource.
#[derive(Clone, Debug, Serialize)]
pub struct Portal {
    /// The kind.
    pub kind: &'static str,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// As in its status.
    pub portal: Vec<PortalEntry>,
    /// The datasource to create in Timbr.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datasource: Option<Datasource>,
    #[serde(skip)]
    commands: Vec<String>,
}

/// What there is to set for the resources of an input.
#[derive(Clone, Debug)]
pub struct Portals {
    /// What comes first, where the resources are in another cloud than `az` is in by itself.
    cloud: Vec<String>,
    /// For each resource.
    pub resources: Vec<Portal>,
}

/// What there is to set for the resources of an input.
pub fn portals(judged: &Judged<'_>) -> Portals {
    let installations: Vec<Vec<Readable<'_>>> = judged.installations.iter().map(readable).collect();
    let input: Vec<Readable<'_>> = installations.iter().flatten().copied().collect();
    let of_installation = |installation: &Vec<Readable<'_>>| {
        installation.iter().filter_map(|resource| portal(resource, installation, &input)).collect::<Vec<_>>()
    };
    let resources: Vec<Portal> = installations.iter().flat_map(of_installation).collect();
    // The settings are the same for all.
    let settings = judged.installations.first().map(|first| &first.snapshot.settings);
    let cloud = settings.filter(|_| !resources.is_empty());
    let cloud =
        cloud.map(|settings| cloud::choice(&settings.authority_url, input.iter().map(|resource| resource.spec)));
    Portals { cloud: cloud.unwrap_or_default(), resources }
}

/// A resource whose spec can be read.
#[derive(Clone, Copy)]
struct Readable<'a> {
    judgement: &'a Judgement,
    spec: &'a Spec,
}

fn readable(Installation { snapshot, plan }: &Installation) -> Vec<Readable<'_>> {
    let spec = |judgement: &Judgement| {
        let resource = snapshot.resources.iter().find(|resource| resource.meta == judgement.meta)?;
        resource.spec.as_ref().ok()
    };
    plan.resources.iter().filter_map(|judgement| Some(Readable { judgement, spec: spec(judgement)? })).collect()
}

/// As JSON: the list of the resources.
///
/// # Errors
/// Never, in practice: it is strings.
pub fn portal_json(portals: &Portals) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&portals.resources).map(|text| text + "\n")
}

/// As a script that a person reads before running it.
pub fn portal_script(portals: &Portals) -> String {
    let cloud = (!portals.cloud.is_empty()).then(|| joined(&portals.cloud));
    let scripts: Vec<String> = cloud.into_iter().chain(portals.resources.iter().map(script)).collect();
    scripts.join("\n")
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn script(Portal { kind, namespace, name, portal, datasource, commands }: &Portal) -> String {
    let mut lines = vec![comment(&format!("{kind} {namespace}/{name}")), comment("")];
    lines
        .extend(portal.iter().map(|PortalEntry { what, value, kind }| comment(&format!("  {what} ({kind}): {value}"))));
    lines.extend(datasource.iter().flat_map(form).map(|line| comment(&line)));
    lines.push(comment(""));
    lines.extend(commands.iter().cloned());
    joined(&lines)
}

fn portal(resource: &Readable<'_>, installation: &[Readable<'_>], input: &[Readable<'_>]) -> Option<Portal> {
    let judgement = resource.judgement;
    let (portal, datasource) = match &judgement.details {
        Status::AzureSso(status) => (&status.portal, None),
        Status::DatabricksPassthrough(status) => (&status.portal, status.datasource.clone()),
        Status::KeyVaultBinding(status) => (&status.portal, None),
        Status::RoleGroupSync(status) => (&status.portal, None),
        _ => return None,
    };
    if portal.is_empty() {
        return None;
    }
    Some(Portal {
        kind: judgement.meta.kind.name(),
        namespace: judgement.meta.namespace.clone(),
        name: judgement.meta.name.clone(),
        portal: portal.clone(),
        datasource,
        commands: commands::commands(resource, installation, input),
    })
}

/// The form of the datasource.
fn form(datasource: &Datasource) -> Vec<String> {
    let Datasource { type_, name, hostname, port, user, password, additional_parameters } = datasource;
    vec![
        "  In Timbr, Datasources, Add New Datasource:".to_owned(),
        format!("    Datasource Type: {type_}"),
        format!("    Datasource Name: {name}"),
        format!("    Hostname/IP: {hostname}"),
        format!("    Port: {port}"),
        format!("    User: {user}"),
        format!("    Password: {password}"),
        format!("    Additional Parameters: {additional_parameters}"),
    ]
}
