metadata description = 'Flex Consumption plan and function app. Every connection is an identity. Application Insights has a connection string that is only its address: it takes nothing without a token.'

import { alwaysReadyGroup, appSettings, tagSet } from '../types.bicep'

@description('Required. Name of the app, at most 32 characters: the host makes its lock names from it.')
@maxLength(32)
param name string

@description('Required. Region.')
param location string

@description('Required. User-assigned identity, in this resource group.')
param identityName string

@description('Required. Version of Python.')
param pythonVersion string

@description('Required. Memory of an instance in MB.')
param instanceMemoryMB int

@description('Required. Most instances at once.')
param maximumInstanceCount int

@description('Required. Functions with instances kept warm; may be empty.')
param alwaysReady alwaysReadyGroup[]

@description('Required. Whether the plan spreads over availability zones.')
param zoneRedundant bool

@description('Optional. Subnet through which the app reaches storage and vault. Left out: the internet.')
param subnetId string?

@description('Required. Storage account.')
param storageName string

@description('Required. Container of the deployed code.')
param deploymentContainerName string

@description('Required. Vault of the secrets.')
param vaultName string

@description('Required. Application Insights.')
param insightsName string

@description('Required. Workspace for diagnostics.')
param workspaceId string

@description('Required. Whether the host\'s own log goes to the workspace too.')
param logsHost bool

@description('Required. Names of the settings that hold secrets.')
param secretSettings string[]

@description('Required. Settings without secrets that differ from their defaults.')
param settings appSettings

@description('Required. Tags of every resource.')
param tags tagSet

// A reference without a version: the platform reads it again within a day, and not surely on a restart; README, Take up
// a changed secret, says how to make it.
var secretReferences = toObject(
  secretSettings,
  setting => setting,
  setting => '@Microsoft.KeyVault(SecretUri=https://${vaultName}${environment().suffixes.keyvaultDns}/secrets/${replace(setting, '_', '-')})'
)

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: identityName
}

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: storageName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: 'plan-${name}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource site 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'provisioner' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    keyVaultReferenceIdentity: identity.id
    virtualNetworkSubnetId: subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${deploymentContainerName}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      runtime: {
        name: 'python'
        version: pythonVersion
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: alwaysReady
      }
    }
  }
}

resource site_settings 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: site
  name: 'appsettings'
  properties: union(settings, secretReferences, {
    AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
    AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
    AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identity.properties.clientId
    AZURE_CLIENT_ID: identity.properties.clientId
    APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
  })
}

// Code is deployed by Entra identities only. What belongs to a site is written one by one: Azure answers 409 to two at once.
resource site_ftp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: site
  name: 'ftp'
  properties: {
    allow: false
  }
  dependsOn: [
    site_settings
  ]
}

resource site_scm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: site
  name: 'scm'
  properties: {
    allow: false
  }
  dependsOn: [
    site_ftp
  ]
}

resource site_diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: site
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'FunctionAppLogs'
        enabled: logsHost
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

@description('Name of the app.')
output name string = site.name
