metadata description = 'Log Analytics workspace and Application Insights, which accepts telemetry only from Entra identities.'

import { tagSet } from '../types.bicep'

@description('Required. Ends of the resource names.')
param baseName string

@description('Required. Region.')
param location string

@description('Required. Days that logs are kept.')
param retentionDays int

@description('Required. Tags of every resource.')
param tags tagSet

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: 'log-${baseName}'
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionDays
    features: {
      disableLocalAuth: true
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${baseName}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
  }
}

@description('Id of the workspace.')
output workspaceId string = workspace.id

@description('Id of Application Insights.')
output insightsId string = insights.id

@description('Name of Application Insights.')
output insightsName string = insights.name
