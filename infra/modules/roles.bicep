metadata description = 'Every role assignment of the deployment, by the role\'s readable name.'

@description('Required. Object id of the app\'s identity.')
param principalId string

@description('Required. Object ids of those who put secrets into the vault; may be empty.')
param secretOfficers string[]

@description('Required. Storage account.')
param storageName string

@description('Required. Vault.')
param vaultName string

@description('Required. Application Insights.')
param insightsName string

// Azure's built-in roles. tests/infra compares name and id with a table of its own.
var builtInRoles = {
  'Key Vault Secrets Officer': 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
  'Key Vault Secrets User': '4633458b-17de-408a-b874-0445c86b69e6'
  'Monitoring Metrics Publisher': '3913510d-42f4-4e42-8a64-420c390055eb'
  'Storage Blob Data Owner': 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  'Storage Queue Data Contributor': '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  'Storage Table Data Contributor': '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
}

var storageRoles = [
  // The host keeps leases, keys and its own state in blobs it creates itself, and reads the code from there.
  'Storage Blob Data Owner'
  // Reads, deletes and sends messages, counts them, and creates a poison queue that is missing.
  'Storage Queue Data Contributor'
  // Reads and writes rows, and creates a table that is missing.
  'Storage Table Data Contributor'
]

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: storageName
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource app_storage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in storageRoles: {
  scope: storage
  name: guid(storage.id, principalId, builtInRoles[role])
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', builtInRoles[role])
  }
}]

// Reads the values of secrets; cannot list who else may, nor change one.
resource app_vault 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, principalId, builtInRoles['Key Vault Secrets User'])
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', builtInRoles['Key Vault Secrets User'])
  }
}

// Sends telemetry; reads none.
resource app_insights 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: insights
  name: guid(insights.id, principalId, builtInRoles['Monitoring Metrics Publisher'])
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', builtInRoles['Monitoring Metrics Publisher'])
  }
}

// Puts secrets into the vault: people or groups, so the kind of principal is left to Azure.
resource officer_vault 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for officer in secretOfficers: {
  scope: vault
  name: guid(vault.id, officer, builtInRoles['Key Vault Secrets Officer'])
  properties: {
    principalId: officer
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', builtInRoles['Key Vault Secrets Officer'])
  }
}]
