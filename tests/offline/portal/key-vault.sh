# KeyVaultBinding timbr/vault
#
#   Access policy of contoso-timbr.vault.azure.net: secret permissions (Setting): Get, List, Set, Delete
#   or, with Azure RBAC, role assignment on contoso-timbr.vault.azure.net (Setting): Key Vault Secrets Officer
#
CLIENT_ID='66666666-7777-8888-9999-000000000000'
# A vault with access policies:
az keyvault set-policy --name 'contoso-timbr' --spn "$CLIENT_ID" --secret-permissions get list set delete
# A vault with Azure RBAC, instead:
#   az role assignment create --role 'Key Vault Secrets Officer' --assignee "$CLIENT_ID" --scope "$(az keyvault show --name 'contoso-timbr' --query id --output tsv)"
# A new client secret, straight into the Secret (the old one stays valid until it is deleted):
#   az ad app credential reset --id "$CLIENT_ID" --append --query password --output tsv | tr -d '\r\n' |
#   kubectl create secret generic 'azure-keyvault-secret' --namespace 'timbr' --from-file='client-secret=/dev/stdin' --dry-run=client --output yaml |
#   kubectl apply --server-side --force-conflicts --filename -
