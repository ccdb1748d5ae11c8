metadata description = 'The one storage account: queues, tables, the host\'s blobs and the deployed code. No shared keys.'

import { tagSet } from '../types.bicep'

@description('Required. Name of the account, 3 to 24 lower case letters and digits.')
param name string

@description('Required. Region.')
param location string

@description('Required. SKU, which says how data is replicated.')
param replication string

@description('Required. Queues to create, poison queues included.')
param queueNames string[]

@description('Required. Tables to create.')
param tableNames string[]

@description('Required. Whether only private endpoints reach the account.')
param isPrivate bool

@description('Required. Workspace for metrics and logs.')
param workspaceId string

@description('Required. Whether each read, write and delete is logged.')
param logsEveryCall bool

@description('Required. Tags of every resource.')
param tags tagSet

var deploymentContainer = 'deployment'

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: replication
  }
  properties: {
    accessTier: 'Hot'
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      // Without a network of its own the app has no fixed address that a rule could name.
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
  }
}

resource account_blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 7
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 7
    }
  }
}

resource account_deployment 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: account_blobs
  name: deploymentContainer
  properties: {
    publicAccess: 'None'
  }
}

resource account_queueService 'Microsoft.Storage/storageAccounts/queueServices@2023-05-01' = {
  parent: account
  name: 'default'
}

resource account_queues 'Microsoft.Storage/storageAccounts/queueServices/queues@2023-05-01' = [for queue in queueNames: {
  parent: account_queueService
  name: queue
}]

resource account_tableService 'Microsoft.Storage/storageAccounts/tableServices@2023-05-01' = {
  parent: account
  name: 'default'
}

resource account_tables 'Microsoft.Storage/storageAccounts/tableServices/tables@2023-05-01' = [for table in tableNames: {
  parent: account_tableService
  name: table
}]

resource account_diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: account
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}

resource blobs_diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (logsEveryCall) {
  scope: account_blobs
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

resource queues_diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (logsEveryCall) {
  scope: account_queueService
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

resource tables_diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (logsEveryCall) {
  scope: account_tableService
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

@description('Name of the account.')
output name string = account.name

@description('Container that holds the deployed code.')
output deploymentContainerName string = account_deployment.name
