//! What a real API server refuses is what `validate` refuses: the same field, the same code.

use kube::core::Status;
use serde_json::Value;
use timbr_identity::api::Kind;

use crate::{bad_input, harness::Lab};

/// Asks the server to create an object, strictly and without doing it.
async fn refusal(lab: &Lab, object: &Value) -> Option<Status> {
    let kind = Kind::ALL.iter().find(|kind| object["kind"] == kind.name()).expect("a kind of ours");
    let plural = kind.plural();
    let uri = format!(
        "/apis/identity.timbr.ai/v1alpha1/namespaces/{}/{plural}?dryRun=All&fieldValidation=Strict",
        lab.namespace
    );
    let request = http::Request::post(uri).header("Content-Type", "application/json");
    let request = request.body(object.to_string().into_bytes()).expect("a request");
    match lab.plane.admin().request_text(request).await {
        Ok(_) => None,
        Err(kube::Error::Api(status)) => Some(*status),
        Err(error) => panic!("{error}"),
    }
}

/// Field and code of each thing that the server found wrong.
fn findings(status: &Status) -> Vec<(String, String)> {
    let unknown = status.message.split("unknown field \"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut findings: Vec<(String, String)> =
        unknown.map(|field| (field.to_owned(), "FieldUnknown".to_owned())).collect();
    for cause in status.details.iter().flat_map(|details| &details.causes) {
        // A rule of ours says its code itself.
        let of_rule = cause
            .message
            .split(": ")
            .find(|word| timbr_identity::api::Code::ALL.iter().any(|code| code.as_str() == *word));
        let code = of_rule.unwrap_or(match cause.reason.as_str() {
            "FieldValueRequired" => "FieldRequired",
            "FieldValueTypeInvalid" => "FieldType",
            "FieldValueNotSupported" => "FieldNotSupported",
            "FieldValueDuplicate" => "FieldDuplicate",
            "FieldValueTooLong" | "FieldValueTooMany" => "FieldLimit",
            "FieldValueInvalid" if cause.message.contains("should be at least") => "FieldLimit",
            "FieldValueInvalid" if cause.message.contains("should have at least") => "FieldLimit",
            "FieldValueInvalid" if cause.message.contains("must be of type") => "FieldType",
            // "some validation rules were not checked" is no finding of its own.
            _ if cause.message.contains("some validation rules were not checked") => continue,
            other => other,
        });
        findings.push((cause.field.clone(), code.to_owned()));
    }
    findings
}

#[tokio::test]
async fn the_api_server_refuses_what_validate_refuses_with_the_same_field_and_code() {
    let lab = Lab::new("refusals").await;
    for good in bad_input::valid() {
        assert_eq!(refusal(&lab, &good).await.map(|status| status.message), None);
    }
    let mut different = Vec::new();
    let cases = bad_input::cases();
    for case in &cases {
        let wanted = vec![(case.path.clone(), case.code.to_owned())];
        let found = refusal(&lab, &case.object).await;
        let said = found.as_ref().map(findings).unwrap_or_default();
        if said != wanted {
            different.push(format!(
                "{}: {said:?} instead of {wanted:?} ({:?})",
                case.name,
                found.map(|status| status.message)
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    println!("{} objects with one fault each were refused with the field and the code of validate", cases.len());
    assert!(cases.len() >= 300, "{}", cases.len());
}
