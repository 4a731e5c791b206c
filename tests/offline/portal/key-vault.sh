# KeyVaultBinding timbr/vault
#
#   Access policy of contoso-timbr.vault.azure.net: secret permissions (Setting): Get, List, Set, Delete
#   or, with Azure RBAC, role assignment on contoso-timbr.vault.azure.net (Setting): Key Vault Secrets Officer
#
CLIENT_ID='66666666-7777-8888-9999-000000000000'
# No app registration yet? Make one, and put its appId where the resource has the client id:
#   az ad app create --display-name 'Timbr Server' --sign-in-audience AzureADMyOrg
#   az ad sp create --id APP-ID
# A vault with access policies:
az keyvault set-policy --name 'contoso-timbr' --spn "$CLIENT_ID" --secret-permissions get list set delete
# A vault with Azure RBAC, instead:
#   az role assignment create --role 'Key Vault Secrets Officer' --assignee "$CLIENT_ID" --scope "$(az keyvault show --name 'contoso-timbr' --query id --output tsv)"
# A new client secret, straight into the Secret (the old one stays valid until it is deleted):
#   az ad app credential reset --id "$CLIENT_ID" --append --query password --output tsv | tr -d '\r\n' |
#   base64 | tr -d '\n' | sed 's/.*/{"data":{"client-secret":"&"}}/' |
#   kubectl patch secret 'azure-keyvault-secret' --namespace 'timbr' --type merge --patch-file /dev/stdin
# Is there no such Secret yet? Then, instead of the last two lines:
#   kubectl create secret generic 'azure-keyvault-secret' --namespace 'timbr' --from-file='client-secret=/dev/stdin'
