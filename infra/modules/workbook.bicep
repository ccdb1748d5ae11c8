metadata description = 'The workbook: success rate, actions, top errors, cycles, latency, and one person\'s story.'

import { tagSet } from '../types.bicep'

@description('Required. Region.')
param location string

@description('Required. Application Insights, whose logs it reads.')
param insightsId string

@description('Required. Tags of every resource.')
param tags tagSet

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(insightsId, 'provisioning')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Provisioning'
    category: 'workbook'
    sourceId: insightsId
    serializedData: loadTextContent('../workbook.json')
  }
}
