//! The CustomResourceDefinitions as they are installed: what the derive gives, made final.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, JSONSchemaPropsOrArray,
};
use serde_json::Value;

use super::Kind;

/// Every CustomResourceDefinition, in the order of [`Kind::ALL`].
pub fn crds() -> Vec<CustomResourceDefinition> {
    Kind::ALL.iter().copied().map(crd).collect()
}

/// The CustomResourceDefinition of a kind.
pub fn crd(kind: Kind) -> CustomResourceDefinition {
    let mut crd = kind.derived_crd();
    for version in &mut crd.spec.versions {
        version.additional_printer_columns = Some(columns(kind));
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            finish(schema);
            if let Some(status) = schema.properties.as_mut().and_then(|properties| properties.get_mut("status")) {
                bare(status);
            }
        }
    }
    crd
}

/// The schema of a kind as the API server has it.
pub fn final_schema(kind: Kind) -> Value {
    let crd = crd(kind);
    let schema = crd.spec.versions.into_iter().find_map(|version| version.schema?.open_api_v3_schema);
    serde_json::to_value(schema).unwrap_or_default()
}

type Schema = k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;

/// What the derive cannot say, for a schema and all below it.
///
/// - `nullable` goes: the derive puts it on every Option, and a null from a Helm template would then
///   count as present for CEL's `has()`.
/// - Numeric formats that the API server does not know go.
fn finish(schema: &mut Schema) {
    schema.nullable = None;
    if schema.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = None;
    }
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        finish(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = schema.items.as_mut() {
        finish(items);
    }
}

/// Status is written whole by the operator: only its first sight, the default of the whole, is the
/// schema's to say; and the rules of types that it shares with the spec are not for the operator.
fn bare(status: &mut Schema) {
    for property in status.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        property.default = None;
        bare(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = status.items.as_mut() {
        bare(items);
    }
    status.x_kubernetes_validations = None;
}

/// The columns of `kubectl get`; those after AGE only with `-o wide`.
fn columns(kind: Kind) -> Vec<CustomResourceColumnDefinition> {
    let condition = |type_: &str, field: &str| format!(".status.conditions[?(@.type==\"{type_}\")].{field}");
    let column =
        |name: &str, type_: &str, json_path: String, priority: i32, description: &str| CustomResourceColumnDefinition {
            name: name.to_owned(),
            type_: type_.to_owned(),
            json_path,
            description: Some(description.to_owned()),
            priority: (priority > 0).then_some(priority),
            format: None,
        };
    let ready = column("Ready", "string", condition("Ready", "status"), 0, "Whether everything this asks for is done");
    let age = column("Age", "date", ".metadata.creationTimestamp".to_owned(), 0, "When it was created");
    match kind {
        Kind::TimbrInstallation => vec![
            ready,
            column(
                "Resources",
                "string",
                ".status.resources.summary".to_owned(),
                0,
                "Ready resources of all that belong here",
            ),
            column("Delivery", "string", ".spec.delivery".to_owned(), 0, "How variables get to the pods"),
            age,
        ],
        _ => {
            let mut columns = vec![ready, column("Reason", "string", condition("Ready", "reason"), 0, "Why")];
            if kind.is_delivered() {
                columns.extend([
                    column(
                        "Delivered",
                        "string",
                        condition("Delivered", "status"),
                        0,
                        "Whether the variables are on the Deployments",
                    ),
                    column("RolledOut", "string", condition("RolledOut", "status"), 0, "Whether pods run with them"),
                ]);
            }
            columns.extend([
                age,
                column(
                    "Verified",
                    "string",
                    condition("Verified", "status"),
                    1,
                    "Whether it was tried out, and every required check passed",
                ),
                column("Warnings", "integer", ".status.warnings".to_owned(), 1, "How many warnings there are"),
            ]);
            if kind == Kind::AzureSso {
                let path = ".status.clientSecretExpires".to_owned();
                columns.push(column("Expires", "string", path, 1, "When the client secret ends"));
            }
            columns.extend([column(
                "Installation",
                "string",
                ".spec.installationRef.name".to_owned(),
                1,
                "The TimbrInstallation that is named",
            )]);
            columns
        }
    }
}
