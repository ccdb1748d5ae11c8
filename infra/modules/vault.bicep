metadata description = 'The vault of the vendors\' secrets. Nobody reads it by access policy, and nothing in it can be purged early.'

import { tagSet } from '../types.bicep'

@description('Required. Name of the vault, 3 to 24 characters.')
param name string

@description('Required. Region.')
param location string

@description('Required. Whether a deleted vault of this name is taken back, with its secrets.')
param recovers bool

@description('Required. Whether only private endpoints reach the vault.')
param isPrivate bool

@description('Required. Workspace for the audit log.')
param workspaceId string

@description('Required. Tags of every resource.')
param tags tagSet

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    createMode: recovers ? 'recover' : 'default'
    tenantId: subscription().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      // Without a network of its own the app has no fixed address that a rule could name.
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
  }
}

resource vault_diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'AuditEvent'
        enabled: true
      }
    ]
  }
}

@description('Name of the vault.')
output name string = vault.name
