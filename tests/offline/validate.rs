//! What `validate` says of objects of ours.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use timbr_identity::api::{Kind, final_schema};

use crate::{
    bad_input::{EXPANDED, azure_sso, cases, timbr_installation, valid},
    run::{deployment, entra, platform, run, stream, validate},
};

#[test]
fn every_fault_of_its_own_is_found_once_where_it_is() {
    for case in cases() {
        assert!(!case.past_the_schema || !case.code.starts_with("Field"), "{}: the schema's own word", case.name);
        let run = run("validate -f - -o json", &stream(&[case.object, entra(), platform()]));
        let findings: Vec<Value> =
            serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{}: {}", case.name, run.err));
        let errors: Vec<(&str, &str)> = findings
            .iter()
            .filter(|finding| finding["severity"] == "Error")
            .map(|finding| (finding["path"].as_str().unwrap(), finding["code"].as_str().unwrap()))
            .collect();
        assert_eq!(errors, [(case.path.as_str(), case.code)], "{}: {}", case.name, run.out);
        assert_eq!(run.code, 1, "{}", case.name);
        assert!(!run.out.contains(EXPANDED), "{}: {}", case.name, run.out);
    }
}

#[test]
fn what_the_kubelet_would_expand_is_refused_in_every_string_field() {
    fn strings(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
        if schema["type"] == "string" {
            found.insert(path.to_owned());
        }
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            strings(schema, &format!("{path}.{name}"), found);
        }
        // A rule of a list's strings is told of the list.
        match &schema["items"] {
            items if items["type"] == "string" && items["enum"].is_null() => strings(items, path, found),
            items if items.is_object() => strings(items, &format!("{path}[0]"), found),
            _ => {}
        }
    }
    for kind in Kind::ALL.iter().copied() {
        let mut fields = BTreeSet::new();
        strings(&final_schema(kind)["properties"]["spec"], "spec", &mut fields);
        let of_kind = |name: &str| {
            name.strip_prefix(kind.name()).and_then(|rest| rest.strip_prefix(": expanded: ")).map(str::to_owned)
        };
        let tried: BTreeSet<String> =
            cases().iter().filter(|case| of_kind(&case.name).is_some()).map(|case| case.path.clone()).collect();
        assert_eq!(tried, fields, "{kind}");
    }
}

/// Providers of several namespaces in one input: among those of one organization the rule is an installation's.
#[test]
fn providers_of_other_namespaces_count() {
    let provider = |namespace: &str, created: &str| {
        json!({
            "apiVersion": "identity.timbr.ai/v1alpha1",
            "kind": "ExternalTokenProvider",
            "metadata": {"name": "it", "namespace": namespace, "creationTimestamp": created},
            "spec": {"displayName": "it", "audiences": ["a"], "userClaim": "upn", "issuerUrl": "https://login.example.com"},
        })
    };
    let namespace = |name: &str, organization: &str| {
        let labels = json!({"identity.timbr.ai/organization": organization});
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    };
    let both = [provider("old", "2024-01-01T00:00:00Z"), provider("new", "2025-01-01T00:00:00Z")];
    let strangers = [both.as_slice(), &[namespace("old", "acme"), namespace("new", "other")]].concat();
    let found = validate(&strangers);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found.iter().all(|finding| finding.contains("warning: spec.audiences") && finding.ends_with("[Collision]"))
    );
    let friends = [both.as_slice(), &[namespace("old", "acme"), namespace("new", "acme")]].concat();
    let found = validate(&friends);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("error: spec: issuer and audience https://login.example.com a is held by an ExternalTokenProvider in another namespace of organization acme"), "{found:?}");
}

#[test]
fn what_is_right_is_not_complained_about() {
    assert_eq!(validate(&[azure_sso(), entra(), platform()]), [] as [&str; 0]);
    // A Helm template's nulls count as absent.
    let mut sso = azure_sso();
    sso["metadata"]["creationTimestamp"] = Value::Null;
    for field in ["clientIdRef", "selfRegistration", "passwordLogin", "installationRef", "suspend", "userIdentity"] {
        sso["spec"][field] = Value::Null;
    }
    assert_eq!(validate(&[sso, entra(), platform()]), [] as [&str; 0]);
    // What comes from a cluster has a status, and managed fields.
    let mut sso = azure_sso();
    sso["status"] = json!({"observedGeneration": 3, "someday": true});
    sso["metadata"]["managedFields"] = json!([{"manager": "kubectl", "operation": "Apply", "fieldsV1": {}}]);
    sso["metadata"]["uid"] = json!("u");
    assert_eq!(validate(&[sso, entra(), platform()]), [] as [&str; 0]);
    let mut installation = timbr_installation();
    installation["spec"] = json!({});
    assert_eq!(validate(&[installation]), [] as [&str; 0]);
    // One of each kind: warnings at most.
    for object in valid() {
        let run = run("validate -f -", &stream(&[object]));
        assert_eq!(run.code, 0, "{}", run.out);
    }
}

#[test]
fn a_finding_tells_the_file_the_document_and_the_fix() {
    let mut sso = azure_sso();
    sso["spec"]["publicURL"] = sso["spec"]["publicUrl"].take();
    sso["spec"]["selfRegistration"] = json!({"role": true, "groups": []});
    let run = run("validate -f -", &stream(&[entra(), platform(), sso]));
    assert_eq!(
        run.out,
        "-:3: error: spec.publicURL: AzureSso has no such field; is publicUrl meant? [FieldUnknown]\n\
         -:3: error: spec.publicUrl: is required and absent; add it [FieldRequired]\n\
         -:3: error: spec.selfRegistration.groups: AzureSso has no such field here; there are: allowAdmin, role [FieldUnknown]\n\
         -:3: error: spec.selfRegistration.role: must be a string, not a boolean; put it in quotes [FieldType]\n"
    );
    assert_eq!((run.code, run.err.as_str()), (1, "1 resource: 4 errors, 0 warnings\n"));
}

#[test]
fn findings_as_json() {
    let mut sso = azure_sso();
    sso["spec"]["publicUrl"] = json!("http://timbr.example.com");
    let run = run("validate -f - -n timbr -o json", &format!("# a comment\n\n{}", stream(&[entra(), platform(), sso])));
    let findings: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(
        findings,
        json!([{
            "file": "-", "document": 3, "line": 8, "object": "AzureSso timbr/sso", "path": "spec.publicUrl",
            "code": "PublicUrlNotHttps", "severity": "Error",
            "message": "must begin with https:// (Azure accepts no other redirect URI)",
        }])
    );
    let clean = crate::run::run("validate -f - -o json", &stream(&[azure_sso(), entra(), platform()]));
    assert_eq!((clean.out.as_str(), clean.code), ("[]\n", 0));
}

#[test]
fn an_error_in_one_document_hides_no_other() {
    let mut first = azure_sso();
    first["spec"]["tenantId"] = json!("common");
    let mut second = azure_sso();
    second["metadata"] = json!({"name": "sso", "namespace": "other"});
    second["spec"]["publicUrl"] = json!("https://timbr.example.com/");
    assert_eq!(
        validate(&[first, second, timbr_installation(), json!({"kind": "ConfigMap"})]),
        [
            "-:1: error: spec.tenantId: must be the Directory (tenant) ID, a GUID, or a domain of the tenant such as contoso.onmicrosoft.com; common, organizations and consumers name no single tenant [TenantIdInvalid]",
            "-:2: error: spec.publicUrl: must be https://, a host and at most a port, such as https://timbr.example.com: no path, not even a final slash, no user, query or fragment [PublicUrlHostOnly]",
        ]
    );
}

#[test]
fn several_resources_where_one_is_meant() {
    let mut second = azure_sso();
    second["metadata"]["name"] = json!("sso2");
    let lines = validate(&[second.clone(), azure_sso(), entra(), platform()]);
    assert_eq!(
        lines,
        [
            "-:1: error: spec: installation default has AzureSso/sso already, which is older; delete one of the two, or give this one another installation [DuplicateInInstallation]"
        ]
    );
    // A field that is wrong does not change whose place it is.
    let mut wrong = azure_sso();
    wrong["spec"]["nonsense"] = json!(1);
    let lines = validate(&[second, wrong, entra(), platform()]);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].ends_with("[DuplicateInInstallation]") && lines[1].ends_with("[FieldUnknown]"), "{lines:?}");
    // The same one twice.
    assert_eq!(
        validate(&[azure_sso(), entra(), platform(), azure_sso()]),
        [
            "-:4: error: metadata.name: AzureSso default/sso is in the input already, at -:1; delete one of the two [DuplicateInInstallation]"
        ]
    );
}

#[test]
fn installations_that_are_not_clear() {
    let mut other = timbr_installation();
    other["metadata"]["name"] = json!("other");
    let web = deployment("web", &["web"], json!([]));
    assert_eq!(
        validate(&[timbr_installation(), other.clone(), web.clone(), entra()]),
        [
            "-:2: error: spec.components.server.deployment: Deployment timbr-server belongs to TimbrInstallation main, which is older and names it too; name another Deployment in spec.components of one of the two [Collision]",
        ]
    );
    other["spec"] = json!({"components": {
        "platform": {"deployment": "b"}, "server": {"deployment": "c"}, "api": {"deployment": "d"},
    }});
    assert_eq!(
        validate(&[timbr_installation(), other, web, entra(), azure_sso()]),
        [
            "-:5: error: spec: namespace default has several TimbrInstallations (main, other); name one in installationRef [InstallationNotFound]"
        ]
    );
    let mut sso = azure_sso();
    sso["spec"]["installationRef"] = json!({"name": "nowhere"});
    assert_eq!(
        validate(&[sso, entra()]),
        [
            "-:1: error: spec: installationRef names TimbrInstallation nowhere, but namespace default has none; create it, or drop installationRef [InstallationNotFound]"
        ]
    );
}

#[test]
fn containers_that_cannot_be_chosen() {
    let two = deployment("timbr-platform", &["web", "sidecar"], json!([]));
    assert_eq!(
        validate(&[azure_sso(), entra(), two.clone()]),
        [
            "-:1: error: spec: Deployment timbr-platform has several containers (web, sidecar) and none is called timbr-platform; name one in spec.components.platform.container of a TimbrInstallation [ContainerNotFound]"
        ]
    );
    let named = json!({
        "apiVersion": "identity.timbr.ai/v1alpha1", "kind": "TimbrInstallation", "metadata": {"name": "main"},
        "spec": {"components": {"platform": {"container": "gone"}}},
    });
    assert_eq!(
        validate(&[azure_sso(), entra(), two, named]),
        [
            "-:1: error: spec: Deployment timbr-platform has no container gone (there are: web, sidecar); correct spec.components.platform.container of the TimbrInstallation [ContainerNotFound]"
        ]
    );
}

#[test]
fn objects_of_our_group_that_are_none_of_our_kinds() {
    let with = |pointer: &str, value: Value| {
        let mut object = azure_sso();
        *object.pointer_mut(pointer).unwrap() = value;
        object
    };
    let table = [
        (
            with("/apiVersion", json!("identity.timbr.ai/v1")),
            "apiVersion: must be identity.timbr.ai/v1alpha1 [FieldNotSupported]",
        ),
        (
            with("/kind", json!("AzureSSO")),
            "kind: must be one of AzureSso, DatabricksPassthrough, ExternalTokenProvider, InboundAccessPolicy, JwtAuthentication, JwtTenant, KeyVaultBinding, RoleGroupSync, TimbrInstallation [FieldNotSupported]",
        ),
        (
            with("/kind", Value::Null),
            "kind: is required and absent; write one of AzureSso, DatabricksPassthrough, ExternalTokenProvider, InboundAccessPolicy, JwtAuthentication, JwtTenant, KeyVaultBinding, RoleGroupSync, TimbrInstallation [FieldRequired]",
        ),
        (
            with("/apiVersion", Value::Null),
            "apiVersion: is required and absent; write identity.timbr.ai/v1alpha1 [FieldRequired]",
        ),
        (with("/metadata/name", Value::Null), "metadata.name: is required and absent; add it [FieldRequired]"),
        (
            with("/metadata/name", json!("My Sso")),
            "metadata.name: must be the name of a Kubernetes object: lower-case letters, digits, '-' and '.', with a letter or digit at both ends [NameInvalid]",
        ),
        (
            with("/metadata", json!({"name": "sso", "labels": {"a": true}})),
            "metadata.labels.a: must be a string, not a boolean; put it in quotes [FieldType]",
        ),
    ];
    for (object, expected) in table {
        let lines = validate(&[object, entra(), platform()]);
        assert_eq!(lines, [format!("-:1: error: {expected}")]);
    }
    // Other people's objects are none of our business, whatever they are called.
    assert_eq!(validate(&[json!({"apiVersion": "example.com/v1", "kind": "AzureSso", "spec": 1})]), [] as [&str; 0]);
}

#[test]
fn warnings_are_no_errors() {
    let mut sso = azure_sso();
    sso["spec"]["passwordLogin"] = json!("Disabled");
    let run = run("validate -f -", &stream(&[sso]));
    assert_eq!(
        run.out,
        "-:1: warning: spec: Deployment timbr-platform is not in the input, so its containers and variables could not be checked [NotInInput]\n\
         -:1: warning: spec.clientSecretRef: <Secret entra/client-secret> is not in the input, so its value could not be checked [NotInInput]\n\
         -:1: warning: spec.passwordLogin: people can still sign in with user name and password: AUTH_WITH_USERPASS=false is held back until the credentials of this resource are verified, so that a mistake in them locks nobody out [PasswordLoginStillEnabled]\n"
    );
    assert_eq!((run.code, run.err.as_str()), (0, "1 resource: 0 errors, 3 warnings\n"));
}
