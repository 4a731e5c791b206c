{{- /*
Made by `make chart` from src/rights.rs. What the operator may do; rbac.yaml takes it in.
*/}}
{{- define "timbr-identity-operator.rights.watched.clusterWide" }}
  # Its own kinds: what people ask for. It never changes a spec.
  - apiGroups: [identity.timbr.ai]
    resources:
      - azuressos
      - databrickspassthroughs
      - externaltokenproviders
      - inboundaccesspolicies
      - jwtauthentications
      - jwttenants
      - keyvaultbindings
      - rolegroupsyncs
      - timbrinstallations
    verbs: [list, watch]
  # What it says about them.
  - apiGroups: [identity.timbr.ai]
    resources:
      - azuressos/status
      - databrickspassthroughs/status
      - externaltokenproviders/status
      - inboundaccesspolicies/status
      - jwtauthentications/status
      - jwttenants/status
      - keyvaultbindings/status
      - rolegroupsyncs/status
      - timbrinstallations/status
    verbs: [patch]
  # Timbr's Deployments: variables, one label and one annotation, by server-side apply. Watched by
  # their metadata.
  - apiGroups: [apps]
    resources: [deployments]
    verbs: [get, list, watch, patch]
  # The values that resources name. Secrets are watched by their metadata; one that nothing names is
  # not read.
  - apiGroups: [""]
    resources: [secrets]
    verbs: [get, list, watch]
  # The Secrets that carry the values to the pods. A Secret's owner can only be changed by somebody
  # who may delete it (OwnerReferencesPermissionEnforcement).
  - apiGroups: [""]
    resources: [secrets]
    verbs: [create, patch, delete]
  # Which Secrets a ReplicaSet still needs, before an old one is deleted; only looked at then.
  - apiGroups: [apps]
    resources: [replicasets]
    verbs: [list]
  # Which Secrets a Pod still needs, the same.
  - apiGroups: [""]
    resources: [pods]
    verbs: [list]
  # Which workloads use Timbr, for the status of access policies: pods with a label that says so, by
  # their metadata.
  - apiGroups: [""]
    resources: [pods]
    verbs: [watch]
  # The NetworkPolicies that access policies ask for (networkPolicy.mode: Managed). Watched by their
  # metadata, and only those that it made.
  - apiGroups: [networking.k8s.io]
    resources: [networkpolicies]
    verbs: [get, list, watch, create, patch, delete]
  # What happened, for people.
  - apiGroups: [events.k8s.io]
    resources: [events]
    verbs: [create]
{{- if .Values.webhook.enabled }}
  # The webhook: whether whoever writes a resource may read the Secrets that it names.
  - apiGroups: [authorization.k8s.io]
    resources: [localsubjectaccessreviews]
    verbs: [create]
{{- end }}
  # Namespaces that another operator has claimed: this one keeps out of them.
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    resourceNames: [timbr-identity-claim]
    verbs: [list, watch]
  # Which namespaces belong to one organization, by their label: there a pair of issuer and audience
  # has one ExternalTokenProvider. By their metadata, and only those with the label.
  - apiGroups: [""]
    resources: [namespaces]
    verbs: [list, watch]
{{- end }}

{{- define "timbr-identity-operator.rights.watched.namespaced" }}
  # Its own kinds: what people ask for. It never changes a spec.
  - apiGroups: [identity.timbr.ai]
    resources:
      - azuressos
      - databrickspassthroughs
      - externaltokenproviders
      - inboundaccesspolicies
      - jwtauthentications
      - jwttenants
      - keyvaultbindings
      - rolegroupsyncs
      - timbrinstallations
    verbs: [list, watch]
  # What it says about them.
  - apiGroups: [identity.timbr.ai]
    resources:
      - azuressos/status
      - databrickspassthroughs/status
      - externaltokenproviders/status
      - inboundaccesspolicies/status
      - jwtauthentications/status
      - jwttenants/status
      - keyvaultbindings/status
      - rolegroupsyncs/status
      - timbrinstallations/status
    verbs: [patch]
  # Timbr's Deployments: variables, one label and one annotation, by server-side apply. Watched by
  # their metadata.
  - apiGroups: [apps]
    resources: [deployments]
    verbs: [get, list, watch, patch]
  # The values that resources name. Secrets are watched by their metadata; one that nothing names is
  # not read.
  - apiGroups: [""]
    resources: [secrets]
    verbs: [get, list, watch]
  # The Secrets that carry the values to the pods. A Secret's owner can only be changed by somebody
  # who may delete it (OwnerReferencesPermissionEnforcement).
  - apiGroups: [""]
    resources: [secrets]
    verbs: [create, patch, delete]
  # Which Secrets a ReplicaSet still needs, before an old one is deleted; only looked at then.
  - apiGroups: [apps]
    resources: [replicasets]
    verbs: [list]
  # Which Secrets a Pod still needs, the same.
  - apiGroups: [""]
    resources: [pods]
    verbs: [list]
  # Which workloads use Timbr, for the status of access policies: pods with a label that says so, by
  # their metadata.
  - apiGroups: [""]
    resources: [pods]
    verbs: [watch]
  # The NetworkPolicies that access policies ask for (networkPolicy.mode: Managed). Watched by their
  # metadata, and only those that it made.
  - apiGroups: [networking.k8s.io]
    resources: [networkpolicies]
    verbs: [get, list, watch, create, patch, delete]
  # What happened, for people.
  - apiGroups: [events.k8s.io]
    resources: [events]
    verbs: [create]
{{- if .Values.webhook.enabled }}
  # The webhook: whether whoever writes a resource may read the Secrets that it names.
  - apiGroups: [authorization.k8s.io]
    resources: [localsubjectaccessreviews]
    verbs: [create]
{{- end }}
  # Claims the namespace, so that no other operator writes there.
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    verbs: [create]
  # Reads and renews that claim.
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    resourceNames: [timbr-identity-claim]
    verbs: [get, update]
{{- end }}

{{- define "timbr-identity-operator.rights.own" }}
  # Makes the key of Secret names, and the webhook's certificate. Create cannot be limited to a
  # name.
  - apiGroups: [""]
    resources: [secrets]
    verbs: [create]
  # Reads the key of Secret names.
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [timbr-identity-name-key]
    verbs: [get]
{{- if .Values.webhook.enabled }}
  # Reads and renews the webhook's certificate.
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [timbr-identity-webhook]
    verbs: [get, update]
{{- end }}
  # Makes the Lease by which replicas agree on who writes.
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    verbs: [create]
  # Reads and renews that Lease.
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    resourceNames: [timbr-identity-operator]
    verbs: [get, update]
{{- end }}

{{- define "timbr-identity-operator.rights.cluster" }}
  # Has the webhook's certificate trusted: writes caBundle, and nothing else.
  - apiGroups: [admissionregistration.k8s.io]
    resources: [validatingwebhookconfigurations]
    resourceNames: [{{ include "timbr-identity-operator.ofCluster" . }}]
    verbs: [get, patch]
{{- end }}
