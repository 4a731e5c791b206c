# AzureSso timbr/sso
#
#   Redirect URI (Web): https://timbr.example.com/oauth-authorized/azure
#   Supported account types (Setting): Accounts in this organizational directory only (AzureADMyOrg)
#   API permission Microsoft Graph email (Delegated): 64a6cdd6-aab1-4aaf-94b8-3cc8405e90d0
#   API permission Microsoft Graph openid (Delegated): 37f7f235-527c-4136-accd-4a02d197296e
#   API permission Microsoft Graph profile (Delegated): 14dad69e-099b-42c9-810b-d002981feec1
#   API permission Microsoft Graph User.Read (Delegated): e1fe6dd8-ba31-4d61-89e7-88639da4683d
#   Admin consent (Link): https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/adminconsent?client_id=66666666-7777-8888-9999-000000000000
#
CLIENT_ID='66666666-7777-8888-9999-000000000000'
# No app registration yet? Make one, and put its appId where the resource has the client id:
#   az ad app create --display-name 'Timbr Platform' --sign-in-audience AzureADMyOrg --web-redirect-uris 'https://timbr.example.com/oauth-authorized/azure'
#   az ad sp create --id APP-ID
# The redirect URIs of an app registration are replaced: add those that must stay.
az ad app update --id "$CLIENT_ID" --sign-in-audience AzureADMyOrg --web-redirect-uris 'https://timbr.example.com/oauth-authorized/azure'
az ad app permission add --id "$CLIENT_ID" --api 00000003-0000-0000-c000-000000000000 --api-permissions 64a6cdd6-aab1-4aaf-94b8-3cc8405e90d0=Scope 37f7f235-527c-4136-accd-4a02d197296e=Scope 14dad69e-099b-42c9-810b-d002981feec1=Scope e1fe6dd8-ba31-4d61-89e7-88639da4683d=Scope
az ad app permission admin-consent --id "$CLIENT_ID"
# A new client secret, straight into the Secret (the old one stays valid until it is deleted):
#   az ad app credential reset --id "$CLIENT_ID" --append --query password --output tsv | tr -d '\r\n' |
#   base64 | tr -d '\n' | sed 's/.*/{"data":{"client-secret":"&"}}/' |
#   kubectl patch secret 'entra' --namespace 'timbr' --type merge --patch-file /dev/stdin
# Is there no such Secret yet? Then, instead of the last two lines:
#   kubectl create secret generic 'entra' --namespace 'timbr' --from-file='client-secret=/dev/stdin'
