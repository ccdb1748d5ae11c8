metadata name = 'Graph permissions of the provisioner'
metadata description = 'Gives the app\'s identity what it reads from Microsoft Graph, and nothing that writes. A template of its own, because it needs a directory role and main.bicep does not.'

// Who may deploy this: Privileged Role Administrator, or an application with AppRoleAssignment.ReadWrite.All and
// Application.Read.All. Global cloud only.
//
// Bicep (0.36.1 or later) learns Graph's resources from the extension that bicepconfig.json beside this file names.
//
//   az deployment group create --resource-group <group> --template-file infra/graph/permissions.bicep \
//     --parameters principalId=<output IDENTITY_PRINCIPAL_ID of main.bicep>
//
// The same without the extension, in a shell:
//
//   graph=$(az ad sp show --id 00000003-0000-0000-c000-000000000000 --query id --output tsv)
//   for permission in User.Read.All GroupMember.Read.All Application.Read.All; do
//     role=$(az ad sp show --id "$graph" --query "appRoles[?value=='$permission'].id | [0]" --output tsv)
//     az rest --method post --url "https://graph.microsoft.com/v1.0/servicePrincipals/$graph/appRoleAssignedTo" \
//       --body "{\"principalId\": \"<IDENTITY_PRINCIPAL_ID>\", \"resourceId\": \"$graph\", \"appRoleId\": \"$role\"}"
//   done
//
// With Group.Read.All in the list as well, group changes are announced: announcesGroups below says what that costs.
// A second run answers that the permission exists already. A new permission is in the identity's next token: within a day,
// which no restart shortens. Grant them before the code is deployed, and the first token has them.

extension microsoftGraphV1

targetScope = 'resourceGroup'

@description('Required. Object id of the app\'s identity: the output IDENTITY_PRINCIPAL_ID of main.bicep.')
param principalId string

@description('Optional. Also let Microsoft Graph announce changes of groups. The permission for that reads more of groups than their members; without it group changes wait for the timer.')
param announcesGroups bool = false

// users/delta; groups/delta and members; appRoleAssignedTo and service principals. Subscriptions to groups.
var permissions = concat([
  'User.Read.All'
  'GroupMember.Read.All'
  'Application.Read.All'
], announcesGroups ? ['Group.Read.All'] : [])

resource graph 'Microsoft.Graph/servicePrincipals@v1.0' existing = {
  appId: '00000003-0000-0000-c000-000000000000'
}

resource assignments 'Microsoft.Graph/appRoleAssignedTo@v1.0' = [for permission in permissions: {
  appRoleId: filter(graph.appRoles, role => role.value == permission)[0].id
  principalId: principalId
  resourceId: graph.id
}]
